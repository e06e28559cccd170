"""ARNs in settings, held against where the stack is: AWS refuses others after minutes, or never finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.aws.location import partition_of
from components.errors import CloudError
from stacks.settings.aws import AwsCloud
from stacks.settings.serving_cloud import AwsServing

if TYPE_CHECKING:
    from components.aws.location import Location
    from stacks.settings.aws import AwsAccount, AwsProvider

_PARTS = ("arn", "partition", "service", "region", "account", "resource")
_OF_AWS = "aws"
"""The account in the ARNs of AWS's own policies."""


def check_arns(here: Location, cloud: AwsAccount, provider: AwsProvider) -> None:
    """Refuse ARNs that cannot work here.

    People and keys of other accounts may be meant. The role that deploys, and the boundary of roles, are the
    account's: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html, read 2026-11.

    Raises:
        CloudError: another partition; or another account or region, where it has to be the stack's.

    """
    people = {"cloud:admins": cloud.admins, "cloud:readers": cloud.readers}
    if isinstance(cloud, AwsServing):
        people["cloud:principals"] = cloud.principals
    for setting, arns in people.items():
        for arn in arns:
            _check_partition(setting, arn, here.region)
    for role in provider.assume_roles:
        remedy = f"assume one of {here.account}, or set cloud:account to where the role deploys"
        _check_account("aws:assumeRoles", role.role_arn, here, remedy)
    if cloud.roles.boundary:
        _check_account("cloud:roles.boundary", cloud.roles.boundary, here, "use a policy of it, or AWS's own")
    if isinstance(cloud, AwsCloud):
        for arn in cloud.input_keys:
            remedy = "pods reach buckets there alone; use one there, with the key it is encrypted with"
            check_key("cloud:input_keys", arn, here.region, remedy)


def check_key(setting: str, arn: str, region: str, remedy: str) -> None:
    """Refuse a KMS key that is not in a region; it may be of another account. Raises CloudError."""
    _check_partition(setting, arn, region)
    if _part(arn, "region") != region:
        raise CloudError(f"{setting}: {arn} is a key of another region than {region}; {remedy}")


def _check_partition(setting: str, arn: str, region: str) -> None:
    begin = f"arn:{partition_of(region)}:"
    if not arn.startswith("arn:"):
        raise CloudError(f"{setting}: {arn} is no ARN; write one that begins with {begin}")
    if not arn.startswith(begin):
        raise CloudError(
            f"{setting}: {arn} is not of the partition of {region}; use one that begins with {begin}, or another region"
        )


def _check_account(setting: str, arn: str, here: Location, remedy: str) -> None:
    _check_partition(setting, arn, here.region)
    if _part(arn, "account") not in (here.account, _OF_AWS):
        raise CloudError(f"{setting}: {arn} is not of the account {here.account} of cloud:account; {remedy}")


def _part(arn: str, name: str) -> str:
    return dict(zip(_PARTS, arn.split(":", len(_PARTS) - 1), strict=False)).get(name, "")
