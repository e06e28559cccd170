"""AWS permissions of a service account's pods: their own role, without long-lived keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import eks, iam

from components.aws.policies import Statement, document, role, trust
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.cluster import Cluster
    from components.aws.location import Location


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """Inputs of an identity.

    Attributes:
        cluster: the cluster that the pods are in.
        namespace: the service account's namespace.
        service_account: its name.
        statements: what is allowed; `bucket_access`, `signing` and `node_scaling` make them.

    """

    cluster: Cluster
    namespace: str
    service_account: str
    statements: Sequence[Statement]


class WorkloadIdentity(pulumi.ComponentResource):
    """A role that EKS Pod Identity gives to the pods of one service account only.

    Raises:
        CloudError: it allows nothing, so it would be useless.

    """

    role_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the identity under `name`."""
        if not args.statements:
            raise CloudError(
                f"the identity of {args.namespace}/{args.service_account} allows nothing; remove it"
            )
        super().__init__("scenario:aws:WorkloadIdentity", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        whose = {
            "aws:RequestTag/eks-cluster-arn": args.cluster.arn,
            "aws:RequestTag/kubernetes-namespace": args.namespace,
            "aws:RequestTag/kubernetes-service-account": args.service_account,
        }
        pods = trust(
            "pods.eks.amazonaws.com", "sts:AssumeRole", "sts:TagSession", condition={"StringEquals": whose}
        )
        made = role(name, args.cluster.location, pods, own)
        policy = iam.RolePolicy(name, role=made.id, policy=document(args.statements), opts=own)
        eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster.name,
            namespace=args.namespace,
            service_account=args.service_account,
            role_arn=made.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.cluster, policy]),
        )
        self.role_arn = made.arn
        self.register_outputs({"role_arn": self.role_arn})


def bucket_access(
    *,
    bucket_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    region: str,
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    delete: Sequence[str] = (),
) -> list[Statement]:
    """Return statements to read, write (and read), or delete objects below prefixes of a bucket.

    A prefix is written as in `releases/`; an empty one is the whole bucket. The key only works through S3.

    Raises:
        CloudError: there is no prefix.

    """
    readable = sorted({*read, *write})
    if not readable:
        raise CloudError("access to a bucket needs a prefix to read or write below, as in 'releases/'")
    kinds = {
        "Read": (readable, ["s3:GetObject"]),
        "Write": (write, ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]),
        "Delete": (delete, ["s3:DeleteObject"]),
    }
    listing: Statement = {
        "Sid": "List",
        "Effect": "Allow",
        # Of the whole bucket: a store lists its top level to check that the bucket exists and is writable.
        "Action": ["s3:ListBucket", *(["s3:ListBucketMultipartUploads"] if write else [])],
        "Resource": bucket_arn,
    }
    key: Statement = {
        "Sid": "Key",
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"] if write else ["kms:Decrypt"],
        "Resource": key_arn,
        "Condition": {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
    }
    objects: list[Statement] = [
        {
            "Sid": kind,
            "Effect": "Allow",
            "Action": actions,
            "Resource": [pulumi.Output.concat(bucket_arn, "/", prefix, "*") for prefix in prefixes],
        }
        for kind, (prefixes, actions) in kinds.items()
        if prefixes
    ]
    return [listing, *objects, key]


def bucket_reading(bucket_arn: str) -> list[Statement]:
    """Return statements to read all objects of another bucket, such as a foundation model or data."""
    return [
        {
            "Sid": f"Read{hashlib.sha256(bucket_arn.encode()).hexdigest()[:8]}",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
        }
    ]


def decrypting(key_arns: Sequence[str]) -> list[Statement]:
    """Return statements to read objects that are encrypted with these keys; their own policies allow it too.

    A key works through S3 of its region alone.
    """
    return [
        {
            "Sid": f"Decrypt{hashlib.sha256(arn.encode()).hexdigest()[:8]}",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": arn,
            "Condition": {"StringEquals": {"kms:ViaService": f"s3.{arn.split(':')[3]}.amazonaws.com"}},
        }
        for arn in key_arns
    ]


def signing(key_arn: pulumi.Input[str], endpoint_id: pulumi.Input[str] | None) -> list[Statement]:
    """Return statements to sign releases with a key in KMS; through an endpoint alone, if it is known."""
    actions = ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"]
    statement: Statement = {"Sid": "Sign", "Effect": "Allow", "Action": actions, "Resource": key_arn}
    within = {"Condition": {"StringEquals": {"aws:SourceVpce": endpoint_id}}} if endpoint_id else {}
    return [statement | within]


def node_scaling(location: Location, cluster_name: str) -> list[Statement]:
    """Return statements for an in-cluster autoscaler: describe everything, and resize this cluster's groups.

    AWS does not support resource-level permissions for the describe calls: they need `*`. Source:
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
    """
    groups = location.arn("autoscaling", "autoScalingGroup:*")
    owned = {"StringEquals": {"aws:ResourceTag/eks:cluster-name": cluster_name}}
    cluster = location.arn("eks", f"nodegroup/{cluster_name}/*")
    return [
        {
            "Sid": "See",
            "Effect": "Allow",
            "Action": [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLaunchConfigurations",
                "autoscaling:DescribeScalingActivities",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:GetInstanceTypesFromInstanceRequirements",
            ],
            "Resource": "*",
        },
        {"Sid": "Group", "Effect": "Allow", "Action": ["eks:DescribeNodegroup"], "Resource": cluster},
        {
            "Sid": "Scale",
            "Effect": "Allow",
            "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            "Resource": groups,
            "Condition": owned,
        },
    ]
