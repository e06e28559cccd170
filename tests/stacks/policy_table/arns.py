"""The names that AWS would give to what the stack declares: of a realistic form, and the same in each test."""

from __future__ import annotations

import hashlib
import uuid

ACCOUNT = "000000000000"
"""The account of the shipped stack file."""
REGION = "eu-central-1"
CLUSTER_NAME = "s2-cloud-training"


def _digits(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()


def physical(name: str) -> str:
    """The name that Pulumi gives to a resource: its own with seven digits."""
    return f"{name}-{_digits(name)[:7]}"


def endpoint_id(name: str) -> str:
    """The ID of a VPC endpoint."""
    return f"vpce-{_digits(name)[:17]}"


def bucket(name: str) -> str:
    """A bucket's ARN."""
    return f"arn:aws:s3:::{physical(name)}"


def role(name: str, account: str = ACCOUNT) -> str:
    """A role's ARN."""
    return f"arn:aws:iam::{account}:role/{physical(name)}"


def key(name: str, account: str = ACCOUNT) -> str:
    """A KMS key's ARN."""
    return f"arn:aws:kms:{REGION}:{account}:key/{uuid.UUID(_digits(name)[:32])}"


def cluster(name: str = CLUSTER_NAME, account: str = ACCOUNT) -> str:
    """A cluster's ARN."""
    return f"arn:aws:eks:{REGION}:{account}:cluster/{name}"


def repository(name: str, account: str = ACCOUNT) -> str:
    """The ARN of a repository of images."""
    return f"arn:aws:ecr:{REGION}:{account}:repository/{name}"


def sid(kind: str, arn: str) -> str:
    """The name that the program gives to a statement about a bucket or key of somebody else's."""
    return f"{kind}{_digits(arn)[:8]}"
