"""A stack's location in AWS: account, region, zones. All are given, so that a preview needs no API call."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from pulumi_aws import Region

from components.errors import CloudError

REGIONS = tuple(sorted(region.value for region in Region))
"""Regions known to this SDK release: a newer region needs a newer `pulumi-aws`."""
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-")
_LEAST_ZONES = 2
"""EKS needs subnets in at least two zones: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """An account and some zones of one region.

    Attributes:
        account: the account's twelve digits.
        region: a region's name, as in `eu-central-1`.
        zones: its availability zones, by name; system nodes are in the first ones.

    Raises:
        CloudError: unknown region, or a partition with other ARNs; zones that are not in the region,
            duplicate, or fewer than two; invalid account.

    """

    account: str
    region: str
    zones: tuple[str, ...]

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

    @property
    def root(self) -> str:
        """The account itself as a principal: everyone its IAM policies allow."""
        return f"arn:aws:iam::{self.account}:root"


def _check_region(region: str) -> None:
    if region not in REGIONS:
        near = difflib.get_close_matches(region, REGIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`aws ec2 describe-regions` lists yours"
        raise CloudError(f"there is no AWS region {region!r}; {hint}")
    if region.startswith(_OTHER_PARTITIONS):
        raise CloudError(
            f"region {region!r} is in a partition with different ARNs, which is not "
            "supported; use a commercial region, such as 'eu-central-1'"
        )
