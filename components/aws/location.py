"""A stack's location in AWS: account, region, zones. All are given, so that a preview needs no API call."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from pulumi_aws import Region

from components.aws.caller import Caller
from components.errors import CloudError

REGIONS = tuple(sorted(region.value for region in Region))
"""Regions known to this SDK release: a newer region needs a newer `pulumi-aws`."""
_PARTITIONS = {"us-gov-": "aws-us-gov"}
"""Partitions besides `aws` with services of the same names. In China and in isolated and sovereign regions they differ:
https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html, read 2026-11."""
_OTHER_PARTITIONS = ("cn-", "us-iso", "eu-isoe-", "eusc-")
_LEAST_ZONES = 2
"""EKS needs subnets in at least two zones: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """An account and some zones of one region.

    Attributes:
        account: the account's twelve digits.
        region: a region's name, as in `eu-central-1`.
        zones: its availability zones, by name; system nodes are in the first ones.
        caller: whose credentials deploy there.
        boundary: ARN of the policy that bounds every role, where the account demands one.
        role_path: the path of every role.

    Raises:
        CloudError: unknown region, or a partition with services of other names; zones that are not in the region,
            duplicate, or fewer than two; invalid account, boundary or path.

    """

    account: str
    region: str
    zones: tuple[str, ...]
    caller: Caller = field(default_factory=Caller)
    boundary: str | None = None
    role_path: str = "/"

    def __post_init__(self) -> None:
        """Refuse an invalid location."""
        _check_region(self.region)
        if not re.fullmatch(r"\d{12}", self.account):
            raise CloudError(
                f"account {self.account!r} is not the twelve digits of an AWS account; "
                "`aws sts get-caller-identity` shows that of your credentials"
            )
        for zone in self.zones:
            if not re.fullmatch(re.escape(self.region) + "[a-z]", zone):
                raise CloudError(
                    f"zone {zone!r} is not an availability zone of the region {self.region}; "
                    f"its zones are called {self.region}a, {self.region}b and so on"
                )
        if len(set(self.zones)) < _LEAST_ZONES or len(set(self.zones)) < len(self.zones):
            raise CloudError(
                f"zones {', '.join(self.zones) or '(none)'}: EKS needs at least two of {self.region}, each "
                "named once"
            )
        _check_roles(self)

    @property
    def partition(self) -> str:
        """The partition of its ARNs: `aws`, or `aws-us-gov`."""
        return partition_of(self.region)

    @property
    def root(self) -> str:
        """The account itself as a principal: everyone its IAM policies allow."""
        return self.arn("iam", "root", regional=False)

    @property
    def registry(self) -> str:
        """The host of the account's image registry."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return the ARN of a resource of this account; in IAM and the like it is of no region."""
        return f"arn:{self.partition}:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def bucket(self, name: str) -> str:
        """Return the ARN of a bucket, or of objects in it; of whoever it is."""
        return f"arn:{self.partition}:s3:::{name}"

    def managed_policy(self, name: str) -> str:
        """Return the ARN of one of AWS's own policies."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"


def partition_of(region: str) -> str:
    """Return the partition of a region's ARNs: `aws`, or `aws-us-gov`."""
    return next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")


def _check_region(region: str) -> None:
    if region not in REGIONS:
        near = difflib.get_close_matches(region, REGIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`aws ec2 describe-regions` lists yours"
        raise CloudError(f"there is no AWS region {region!r}; {hint}")
    if region.startswith(_OTHER_PARTITIONS):
        raise CloudError(
            f"region {region!r} is in a partition whose services have other names, which is not supported; use a "
            "commercial region, such as 'eu-central-1', or one of GovCloud"
        )


def _check_roles(location: Location) -> None:
    if location.boundary and not re.fullmatch(
        r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/\S+", location.boundary
    ):
        raise CloudError(
            f"boundary {location.boundary!r} is not the ARN of a policy; write it as in "
            f"{location.arn('iam', 'policy/boundary', regional=False)}"
        )
    if not re.fullmatch(r"/([\w+=,.@-]+/)*", location.role_path):
        raise CloudError(
            f"invalid path of roles {location.role_path!r}; it begins and ends with /, as in /machines/"
        )
