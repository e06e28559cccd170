"""What each resource type is made with, what it needs around it, and what it changes to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.lab.aws.world import World, policy

if TYPE_CHECKING:
    from collections.abc import Callable


def expire(days: int) -> str:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
    rule = {"rulePriority": 1, "selection": selection | {"countNumber": days}, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})


@dataclass
class Life:
    """Inputs that a type is made with, and what they change to; `None` where nothing can change in place."""

    inputs: Callable[[World], dict[str, Any]]
    change: dict[str, Any] | None


LIVES: dict[str, Life] = {
    "ec2/vpc:Vpc": Life(
        lambda _: {"cidrBlock": "10.7.0.0/16", "enableDnsHostnames": True}, {"enableDnsHostnames": False}
    ),
    "ec2/subnet:Subnet": Life(
        lambda w: {"vpcId": w.vpc(), "cidrBlock": "10.9.1.0/24", "mapPublicIpOnLaunch": False},
        {"mapPublicIpOnLaunch": True},
    ),
    "ec2/internetGateway:InternetGateway": Life(lambda w: {"vpcId": w.vpc()}, {"tags": {"a": "b"}}),
    "ec2/natGateway:NatGateway": Life(
        lambda w: {"subnetId": w.subnet(), "allocationId": w.address()}, {"tags": {"a": "b"}}
    ),
    "ec2/eip:Eip": Life(lambda _: {"domain": "vpc"}, {"tags": {"a": "b"}}),
    "ec2/routeTable:RouteTable": Life(
        lambda w: {
            "vpcId": (vpc := w.vpc()),
            "routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": w.gateway(vpc)}],
        },
        {"routes": []},
    ),
    "ec2/routeTableAssociation:RouteTableAssociation": Life(
        lambda w: {"subnetId": w.subnet(vpc := w.vpc()), "routeTableId": w.table(vpc)}, None
    ),
    "ec2/route:Route": Life(
        lambda w: {
            "routeTableId": w.table(vpc := w.vpc()),
            "destinationCidrBlock": "0.0.0.0/0",
            "gatewayId": w.gateway(vpc),
        },
        None,
    ),
    "ec2/securityGroup:SecurityGroup": Life(
        lambda w: {
            "vpcId": w.vpc(),
            "ingress": [{"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/8"]}],
            "egress": [{"protocol": "-1", "fromPort": 0, "toPort": 0, "self": True}],
        },
        {"ingress": [{"protocol": "tcp", "fromPort": 80, "toPort": 80, "cidrBlocks": ["10.0.0.0/8"]}]},
    ),
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": Life(
        lambda w: {"vpcId": w.vpc(), "ingress": []}, {"tags": {"a": "b"}}
    ),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": Life(
        lambda w: {
            "securityGroupId": w.group(),
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
            "cidrIpv4": "10.0.0.0/8",
        },
        {"toPort": 444},
    ),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": Life(
        lambda w: {
            "securityGroupId": (group := w.group()),
            "ipProtocol": "-1",
            "referencedSecurityGroupId": group,
        },
        {"description": "among themselves"},
    ),
    "ec2/vpcEndpoint:VpcEndpoint": Life(
        lambda w: {
            "vpcId": (vpc := w.vpc()),
            "serviceName": "com.amazonaws.eu-central-1.s3",
            "routeTableIds": [w.table(vpc)],
        },
        {"tags": {"a": "b"}},
    ),
    "ec2/vpcEndpointPolicy:VpcEndpointPolicy": Life(
        lambda w: {
            "vpcEndpointId": w.endpoint(),
            "policy": policy(Principal="*", Resource="arn:aws:s3:::x/*"),
        },
        {"policy": policy(Principal="*", Resource="arn:aws:s3:::y/*")},
    ),
    "ec2/vpcEndpointService:VpcEndpointService": Life(
        lambda w: {
            "acceptanceRequired": False,
            "networkLoadBalancerArns": [w.balancer()],
            "allowedPrincipals": ["arn:aws:iam::210987654321:root"],
        },
        {"allowedPrincipals": ["arn:aws:iam::210987654322:root"]},
    ),
    "lb/loadBalancer:LoadBalancer": Life(
        lambda w: {
            "loadBalancerType": "network",
            "internal": True,
            "subnets": [w.subnet(vpc := w.vpc())],
            "securityGroups": [w.group(vpc)],
            "enableCrossZoneLoadBalancing": True,
        },
        {"enableCrossZoneLoadBalancing": False},
    ),
    "lb/targetGroup:TargetGroup": Life(
        lambda w: {
            "vpcId": w.vpc(),
            "port": 30944,
            "protocol": "TCP",
            "targetType": "instance",
            "deregistrationDelay": 15,
            "healthCheck": {"protocol": "TCP", "interval": 10},
        },
        {"deregistrationDelay": 120},
    ),
    "lb/listener:Listener": Life(
        lambda w: {
            "loadBalancerArn": w.balancer(vpc := w.vpc()),
            "port": 30944,
            "protocol": "TCP",
            "defaultActions": [{"type": "forward", "targetGroupArn": w.target(vpc)}],
        },
        {"port": 30945},
    ),
    "autoscaling/attachment:Attachment": Life(
        lambda w: {
            "autoscalingGroupName": w.scaling_group(vpc := w.vpc()),
            "lbTargetGroupArn": w.target(vpc),
        },
        None,
    ),
    "ec2/launchTemplate:LaunchTemplate": Life(
        lambda w: {
            "instanceType": "p5.48xlarge",
            "vpcSecurityGroupIds": [w.group()],
            "metadataOptions": {"httpTokens": "required"},
            "blockDeviceMappings": [
                {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 200, "encrypted": "true"}}
            ],
            "tagSpecifications": [{"resourceType": "instance", "tags": {"stack": "one"}}],
        },
        {"instanceType": "p5e.48xlarge"},
    ),
    "ec2/placementGroup:PlacementGroup": Life(lambda _: {"strategy": "cluster"}, {"tags": {"a": "b"}}),
    "iam/role:Role": Life(
        lambda _: {
            "assumeRolePolicy": policy(Action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"}),
            "description": "nodes",
        },
        {"description": "all nodes"},
    ),
    "iam/policy:Policy": Life(
        lambda _: {"policy": policy(Resource="*")}, {"policy": policy(Resource="*", Action="s3:PutObject")}
    ),
    "iam/rolePolicy:RolePolicy": Life(
        lambda w: {"role": w.role().id, "policy": policy(Resource="*")},
        {"policy": policy(Resource="*", Action="s3:PutObject")},
    ),
    "iam/rolePolicyAttachment:RolePolicyAttachment": Life(
        lambda w: {
            "role": w.role().id,
            "policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
        },
        None,
    ),
    "kms/key:Key": Life(
        lambda _: {"description": "releases", "enableKeyRotation": True, "deletionWindowInDays": 7},
        {"enableKeyRotation": False},
    ),
    "kms/alias:Alias": Life(lambda w: {"targetKeyId": w.key()}, None),
    "s3/bucket:Bucket": Life(lambda _: {"tags": {"a": "b"}, "forceDestroy": True}, {"tags": {"a": "c"}}),
    "s3/bucketVersioning:BucketVersioning": Life(
        lambda w: {"bucket": w.bucket(), "versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
    ),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Life(
        lambda w: {
            "bucket": w.bucket(),
            "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}],
        },
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    ),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Life(
        lambda w: {"bucket": w.bucket(), "blockPublicAcls": True}, {"blockPublicAcls": False}
    ),
    "s3/bucketPolicy:BucketPolicy": Life(
        lambda w: {"bucket": w.bucket(), "policy": policy(Principal="*", Resource="arn:aws:s3:::x/*")},
        {"policy": policy(Principal="*", Resource="arn:aws:s3:::y/*")},
    ),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Life(
        lambda w: {
            "bucket": w.bucket(),
            "rules": [
                {
                    "id": "old",
                    "status": "Enabled",
                    "filter": {"prefix": "checkpoints/"},
                    "expiration": {"days": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                }
            ],
        },
        {
            "rules": [
                {"id": "old", "status": "Disabled", "filter": {"prefix": "x/"}, "expiration": {"days": 30}}
            ]
        },
    ),
    "s3/bucketOwnershipControls:BucketOwnershipControls": Life(
        lambda w: {"bucket": w.bucket(), "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
    ),
    "ecr/repository:Repository": Life(
        lambda _: {
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "AES256"}],
        },
        {"imageTagMutability": "MUTABLE"},
    ),
    "ecr/lifecyclePolicy:LifecyclePolicy": Life(
        lambda w: {"repository": w.repository(), "policy": expire(30)}, {"policy": expire(60)}
    ),
    "ecr/repositoryPolicy:RepositoryPolicy": Life(
        lambda w: {
            "repository": w.repository(),
            "policy": policy(Action="ecr:BatchGetImage", Principal={"AWS": "*"}),
        },
        {"policy": policy(Action="ecr:GetDownloadUrlForLayer", Principal={"AWS": "*"})},
    ),
    "eks/cluster:Cluster": Life(
        lambda w: {
            "roleArn": w.role().state["arn"],
            "vpcConfig": {"subnetIds": [w.subnet()], "endpointPrivateAccess": True},
            "accessConfig": {"authenticationMode": "API"},
            "enabledClusterLogTypes": ["api"],
        },
        {"enabledClusterLogTypes": ["api", "audit"]},
    ),
    "eks/nodeGroup:NodeGroup": Life(
        lambda w: {
            "clusterName": w.cluster().id,
            "nodeRoleArn": w.role().state["arn"],
            "subnetIds": [each.id for each in w.made if each.type == "aws:ec2/subnet:Subnet"],
            "scalingConfig": {"desiredSize": 1, "minSize": 0, "maxSize": 2},
            "labels": {"kind": "gpu"},
            "taints": [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        },
        {"labels": {"pool": "gpu"}, "taints": []},
    ),
    "eks/addon:Addon": Life(
        lambda w: {
            "clusterName": w.cluster().id,
            "addonName": "coredns",
            "addonVersion": "v1.11.4-eksbuild.2",
        },
        {"addonVersion": "v1.12.1-eksbuild.2"},
    ),
    "eks/accessEntry:AccessEntry": Life(
        lambda w: {
            "clusterName": w.cluster().id,
            "principalArn": "arn:aws:iam::123456789012:role/dev",
            "kubernetesGroups": ["developers"],
        },
        {"kubernetesGroups": ["operators"]},
    ),
    "eks/accessPolicyAssociation:AccessPolicyAssociation": Life(
        lambda w: {
            **w.entry(),
            "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
            "accessScope": {"type": "namespace", "namespaces": ["training"]},
        },
        None,
    ),
    "eks/podIdentityAssociation:PodIdentityAssociation": Life(
        lambda w: {
            "clusterName": w.cluster().id,
            "namespace": "training",
            "serviceAccount": "trainer",
            "roleArn": w.role().state["arn"],
        },
        {"roleArn": "arn:aws:iam::123456789012:role/other"},
    ),
    "cloudwatch/logGroup:LogGroup": Life(lambda _: {"retentionInDays": 30}, {"retentionInDays": 90}),
    "budgets/budget:Budget": Life(
        lambda _: {
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "500.0",
            "limitUnit": "USD",
        },
        None,
    ),
}

ONE_OF_EACH_SHAPE = {
    "ec2/vpc:Vpc",
    "ec2/routeTable:RouteTable",
    "ec2/routeTableAssociation:RouteTableAssociation",
    "ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "ec2/vpcEndpointPolicy:VpcEndpointPolicy",
    "ec2/launchTemplate:LaunchTemplate",
    "lb/targetGroup:TargetGroup",
    "autoscaling/attachment:Attachment",
    "iam/role:Role",
    "iam/rolePolicyAttachment:RolePolicyAttachment",
    "kms/key:Key",
    "s3/bucket:Bucket",
    "s3/bucketVersioning:BucketVersioning",
    "ecr/repositoryPolicy:RepositoryPolicy",
    "eks/nodeGroup:NodeGroup",
    "eks/accessPolicyAssociation:AccessPolicyAssociation",
    "cloudwatch/logGroup:LogGroup",
    "budgets/budget:Budget",
}
"""What `make test` brings to life, `make soak` all: what is by itself, inside of another, a link between two,
a setting of another, there already, kept in versions, a document; and something of each service."""
