"""VPC interface endpoints: those that a cluster without internet access needs, and their policies.

An endpoint's policy grants nothing; it narrows what IAM allows. Each admits only principals of the account,
and only the operations that nodes, their daemons and training use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2, vpc

from components.aws.policies import Statement, document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.location import Location

# The last is a pull through a cache of another registry, for the first time.
_PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer", "BatchImportUpstreamImage")
_CNI = (
    *("AssignPrivateIpAddresses", "UnassignPrivateIpAddresses", "AttachNetworkInterface"),
    *("DetachNetworkInterface", "CreateNetworkInterface", "DeleteNetworkInterface", "CreateTags"),
    *("ModifyNetworkInterfaceAttribute", "DescribeInstances", "DescribeTags", "DescribeSubnets"),
    *("DescribeNetworkInterfaces", "DescribeInstanceTypes", "DescribeSecurityGroups", "DescribeVolumes"),
)
_SCALING = ("DescribeImages", "DescribeLaunchTemplateVersions", "GetInstanceTypesFromInstanceRequirements")

SERVICES: dict[str, tuple[str, ...]] = {
    "ec2": tuple(f"ec2:{action}" for action in (*_CNI, *_SCALING)),
    "ecr.api": tuple(f"ecr:{action}" for action in ("GetAuthorizationToken", *_PULL)),
    "ecr.dkr": tuple(f"ecr:{action}" for action in ("GetAuthorizationToken", *_PULL)),
    "eks": ("eks:DescribeCluster", "eks:DescribeNodegroup"),
    "eks-auth": ("eks-auth:AssumeRoleForPodIdentity",),
    "sts": ("sts:AssumeRole", "sts:GetCallerIdentity", "sts:TagSession"),
    "logs": tuple(f"logs:{action}" for action in ("CreateLogStream", "DescribeLogStreams", "PutLogEvents")),
    "kms": ("kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"),
    "autoscaling": tuple(
        f"autoscaling:{action}"
        for action in (
            *("DescribeAutoScalingGroups", "DescribeAutoScalingInstances", "DescribeLaunchConfigurations"),
            *("DescribeScalingActivities", "DescribeTags", "SetDesiredCapacity"),
            "TerminateInstanceInAutoScalingGroup",
        )
    ),
}
"""Allowed operations, by service. Each service has an interface in every zone, billed by the hour."""

SESSION_MANAGER: dict[str, tuple[str, ...]] = {
    "ssm": tuple(
        f"ssm:{action}"
        for action in (
            *(
                "DescribeAssociation",
                "DescribeDocument",
                "GetDeployablePatchSnapshotForInstance",
                "GetDocument",
            ),
            *(
                "GetManifest",
                "ListAssociations",
                "ListInstanceAssociations",
                "PutComplianceItems",
                "PutInventory",
            ),
            *("PutConfigurePackageResult", "UpdateAssociationStatus", "UpdateInstanceAssociationStatus"),
            "UpdateInstanceInformation",
        )
    ),
    "ssmmessages": tuple(
        f"ssmmessages:{action}"
        for action in ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    ),
}
"""What nodes need for shells by Session Manager: AmazonSSMManagedInstanceCore, without its parameters."""


CLOUDWATCH: dict[str, tuple[str, ...]] = {
    "logs": (*SERVICES["logs"], "logs:DescribeLogGroups"),
    "monitoring": ("cloudwatch:PutMetricData",),
}
"""What CloudWatch's agent needs for logs and metrics of pods."""


def interface_endpoints(
    name: str,
    location: Location,
    *,
    vpc_id: pulumi.Input[str],
    cidr: str,
    subnet_ids: Sequence[pulumi.Input[str]],
    services: Mapping[str, Sequence[str]],
    parent: pulumi.Resource,
) -> dict[str, ec2.VpcEndpoint]:
    """Declare an interface endpoint for each service, reachable by TLS from within the VPC only.

    `services` are allowed operations, as in `SERVICES`.
    """
    of_parent = pulumi.ResourceOptions(parent=parent)
    group = ec2.SecurityGroup(
        f"{name}-endpoints",
        vpc_id=vpc_id,
        description="TLS from the VPC to AWS services",
        tags={"Name": f"{name}-endpoints"},
        opts=of_parent,
    )
    vpc.SecurityGroupIngressRule(
        f"{name}-endpoints",
        security_group_id=group.id,
        description="HTTPS from the VPC",
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        cidr_ipv4=cidr,
        tags={"Name": f"{name}-endpoints"},
        opts=of_parent,
    )
    return {
        service: ec2.VpcEndpoint(
            f"{name}-{service.replace('.', '-')}",
            vpc_id=vpc_id,
            service_name=f"com.amazonaws.{location.region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=list(subnet_ids),
            security_group_ids=[group.id],
            policy=document([_narrowed(location, actions)]),
            tags={"Name": f"{name}-{service.replace('.', '-')}"},
            opts=of_parent,
        )
        for service, actions in services.items()
    }


def _narrowed(location: Location, actions: Sequence[str]) -> Statement:
    return {
        "Effect": "Allow",
        "Principal": "*",
        "Action": list(actions),
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": location.account}},
    }
