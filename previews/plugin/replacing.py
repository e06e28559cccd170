"""Which properties cannot change in place: a change of them replaces the resource.

Of AWS's types, from the schemas of Pulumi's AWS provider (`willReplaceOnChanges`, `forceNew`), for those that stacks
declare; tests compare them with the lab's adapters. Of Kubernetes' kinds, from pkg/provider/diff.go of
pulumi-kubernetes 4.25: an object is another one if its name or namespace is.
"""

from __future__ import annotations

_AWS: dict[str, str] = {
    "autoscaling/attachment:Attachment": "autoscalingGroupName lbTargetGroupArn",
    "budgets/budget:Budget": "accountId name",
    "cloudwatch/logGroup:LogGroup": "logGroupClass name",
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": "vpcId",
    "ec2/eip:Eip": "address domain networkBorderGroup publicIpv4Pool",
    "ec2/internetGateway:InternetGateway": "",
    "ec2/launchTemplate:LaunchTemplate": "name",
    "ec2/natGateway:NatGateway": "allocationId connectivityType privateIp subnetId",
    "ec2/placementGroup:PlacementGroup": "name partitionCount spreadLevel strategy",
    "ec2/route:Route": "destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId routeTableId",
    "ec2/routeTable:RouteTable": "vpcId",
    "ec2/routeTableAssociation:RouteTableAssociation": "gatewayId subnetId",
    "ec2/securityGroup:SecurityGroup": "description name vpcId",
    "ec2/subnet:Subnet": "availabilityZone availabilityZoneId cidrBlock ipv6CidrBlock vpcId",
    "ec2/vpc:Vpc": "cidrBlock instanceTenancy",
    "ec2/vpcEndpoint:VpcEndpoint": "serviceName vpcEndpointType vpcId",
    "ec2/vpcEndpointPolicy:VpcEndpointPolicy": "vpcEndpointId",
    "ec2/vpcEndpointService:VpcEndpointService": "",
    "ecr/lifecyclePolicy:LifecyclePolicy": "repository",
    "ecr/repository:Repository": "encryptionConfigurations name",
    "ecr/repositoryPolicy:RepositoryPolicy": "repository",
    "eks/accessEntry:AccessEntry": "clusterName principalArn type",
    "eks/accessPolicyAssociation:AccessPolicyAssociation": "accessScope clusterName policyArn principalArn",
    "eks/addon:Addon": "addonName clusterName",
    "eks/cluster:Cluster": (
        "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons encryptionConfig "
        "kubernetesNetworkConfig name roleArn"
    ),
    "eks/nodeGroup:NodeGroup": (
        "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name nodeGroupName "
        "nodeRoleArn remoteAccess subnetIds"
    ),
    "eks/podIdentityAssociation:PodIdentityAssociation": "clusterName namespace serviceAccount",
    "iam/policy:Policy": "description name path",
    "iam/role:Role": "name path",
    "iam/rolePolicy:RolePolicy": "name role",
    "iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn role",
    "kms/alias:Alias": "name",
    "kms/key:Key": "customKeyStoreId customerMasterKeySpec keyUsage multiRegion",
    "lb/listener:Listener": "loadBalancerArn",
    "lb/loadBalancer:LoadBalancer": "internal loadBalancerType name",
    "lb/targetGroup:TargetGroup": "name port protocol targetType vpcId",
    "s3/bucket:Bucket": "bucket objectLockEnabled",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "bucket expectedBucketOwner",
    "s3/bucketOwnershipControls:BucketOwnershipControls": "bucket expectedBucketOwner",
    "s3/bucketPolicy:BucketPolicy": "bucket expectedBucketOwner",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "bucket expectedBucketOwner",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "bucket expectedBucketOwner",
    "s3/bucketVersioning:BucketVersioning": "bucket expectedBucketOwner",
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": "securityGroupId",
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": "securityGroupId",
}
_CHART = "kubernetes:helm.sh/v3:Release"
_OBJECT = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
_KINDS: dict[str, tuple[str, ...]] = {
    "kubernetes:apps/v1:Deployment": ("spec.selector",),
    "kubernetes:apps/v1:DaemonSet": ("spec.selector",),
    "kubernetes:apps/v1:StatefulSet": ("spec.podManagementPolicy", "spec.selector", "spec.serviceName"),
    "kubernetes:batch/v1:Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "kubernetes:core/v1:Secret": ("type",),
    "kubernetes:core/v1:Service": ("spec.clusterIP",),
    "kubernetes:core/v1:PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    "kubernetes:storage.k8s.io/v1:StorageClass": ("parameters", "provisioner"),
}
_IMMUTABLE = {
    "kubernetes:core/v1:Secret": ("data", "stringData"),
    "kubernetes:core/v1:ConfigMap": ("data", "binaryData"),
}


def is_known(token: str) -> bool:
    """Whether it is known of a type what replaces it."""
    return token.startswith("kubernetes:") or token.removeprefix("aws:") in _AWS


def replaces(token: str, path: str, *, immutable: bool = False) -> bool:
    """Whether a change of the property at `path` replaces a resource of this type. `immutable`: its data, too."""
    parts = path.replace("[", ".[").split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    if token.startswith("aws:"):
        return bool(above & set(_AWS.get(token.removeprefix("aws:"), "").split()))
    if token == _CHART:
        return bool(above & {"name", "namespace"})
    fixed = {*_OBJECT, *_KINDS.get(token, ()), *(_IMMUTABLE.get(token, ()) if immutable else ())}
    return bool(above & fixed)
