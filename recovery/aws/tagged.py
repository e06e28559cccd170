"""After `pulumi destroy`: list what in AWS still carries a stack's tag. `python -m recovery.aws.tagged`.

The tagging service lists most tagged resources, but with a delay and not all of them, so EC2, EKS, ECR and
IAM are queried directly. KMS keys pending deletion do not count.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.console import run
from recovery import RecoveryError
from recovery.aws.session import add_arguments, asking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EVERY_SECONDS = 10
_KINDS = {
    "elastic-ip": ("describe_addresses", "AllocationIds", "Addresses"),
    "instance": ("describe_instances", "InstanceIds", "Reservations"),
    "internet-gateway": ("describe_internet_gateways", "InternetGatewayIds", "InternetGateways"),
    "launch-template": ("describe_launch_templates", "LaunchTemplateIds", "LaunchTemplates"),
    "natgateway": ("describe_nat_gateways", "NatGatewayIds", "NatGateways"),
    "network-interface": ("describe_network_interfaces", "NetworkInterfaceIds", "NetworkInterfaces"),
    "placement-group": ("describe_placement_groups", "GroupIds", "PlacementGroups"),
    "route-table": ("describe_route_tables", "RouteTableIds", "RouteTables"),
    "security-group": ("describe_security_groups", "GroupIds", "SecurityGroups"),
    "security-group-rule": (
        "describe_security_group_rules",
        "SecurityGroupRuleIds",
        "SecurityGroupRules",
    ),
    "subnet": ("describe_subnets", "SubnetIds", "Subnets"),
    "volume": ("describe_volumes", "VolumeIds", "Volumes"),
    "vpc": ("describe_vpcs", "VpcIds", "Vpcs"),
    "vpc-endpoint": ("describe_vpc_endpoints", "VpcEndpointIds", "VpcEndpoints"),
    "vpc-endpoint-service": (
        "describe_vpc_endpoint_service_configurations",
        "ServiceIds",
        "ServiceConfigurations",
    ),
}
"""How to query EC2 for one resource, by its type in tags: operation, request member, response member."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag that every resource of a stack carries."""

    key: str
    value: str

    @classmethod
    def of(cls, text: str) -> Tag:
        """Parse `KEY=VALUE`. Raises RecoveryError for anything else."""
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise RecoveryError(f"invalid --tag {text!r}; write KEY=VALUE")
        return cls(key=key, value=value)

    def on(self, tags: dict[str, str]) -> bool:
        """Whether it is among these tags."""
        return tags.get(self.key) == self.value


def tagged_resources(session: Any, tag: Tag) -> list[str]:
    """Return what still carries the tag, by ARN or EC2 ID, sorted.

    Raises:
        RecoveryError: AWS does not answer, or refuses these credentials.

    """
    sources: tuple[Callable[[Any, Tag], Iterator[str]], ...] = (_tagged, _ec2, _eks, _ecr, _roles)
    try:
        found = {each for source in sources for each in source(session, tag)}
        return sorted(each for each in found if not _leaves(session, each))
    except (BotoCoreError, ClientError) as error:
        raise RecoveryError(
            f"cannot list what is left of {tag.key}={tag.value} in {session.region_name}: {error}; use "
            "credentials that can read tags (tag:GetResources, ec2:DescribeTags, eks, ecr and iam lists)"
        ) from None


def _tagged(session: Any, tag: Tag) -> Iterator[str]:
    pages = session.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in pages.paginate(TagFilters=[{"Key": tag.key, "Values": [tag.value]}]):
        for each in page["ResourceTagMappingList"]:
            # EC2's are listed below, by ID, so that each appears once.
            if ":ec2:" not in each["ResourceARN"]:
                yield each["ResourceARN"]


def _ec2(session: Any, tag: Tag) -> Iterator[str]:
    ec2 = session.client("ec2")
    filters = [{"Name": "key", "Values": [tag.key]}, {"Name": "value", "Values": [tag.value]}]
    for page in ec2.get_paginator("describe_tags").paginate(Filters=filters):
        for each in page["Tags"]:
            if _exists(ec2, each["ResourceType"], each["ResourceId"]):
                yield f"{each['ResourceType']} {each['ResourceId']}".strip()


def _exists(ec2: Any, kind: str, identity: str) -> bool:
    """Whether a tagged resource still exists: EC2 lists tags for a while after deletion."""
    if kind not in _KINDS:
        return True
    operation, asked, told = _KINDS[kind]
    try:
        found = getattr(ec2, operation)(**{asked: [identity]})[told]
    except ClientError as error:
        if re.search("NotFound|Unknown", error.response["Error"]["Code"]):
            return False
        raise
    things = [thing for each in found for thing in each.get("Instances", [each])]
    states = [thing.get("State") for thing in things]
    names = [state.get("Name") if isinstance(state, dict) else state for state in states]
    return not all(str(name).lower() in {"deleted", "terminated"} for name in names)


def _eks(session: Any, tag: Tag) -> Iterator[str]:
    eks = session.client("eks")
    for page in eks.get_paginator("list_clusters").paginate():
        for name in page["clusters"]:
            cluster = eks.describe_cluster(name=name)["cluster"]
            if tag.on(cluster.get("tags", {})):
                yield cluster["arn"]


def _ecr(session: Any, tag: Tag) -> Iterator[str]:
    ecr = session.client("ecr")
    for page in ecr.get_paginator("describe_repositories").paginate():
        for repository in page["repositories"]:
            arn = repository["repositoryArn"]
            tags = ecr.list_tags_for_resource(resourceArn=arn)["tags"]
            if tag.on({each["Key"]: each["Value"] for each in tags}):
                yield arn


def _roles(session: Any, tag: Tag) -> Iterator[str]:
    iam = session.client("iam")
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["Path"].startswith("/aws-service-role/"):
                continue
            tags = iam.list_role_tags(RoleName=role["RoleName"])["Tags"]
            if tag.on({each["Key"]: each["Value"] for each in tags}):
                yield role["Arn"]


def _leaves(session: Any, arn: str) -> bool:
    """Whether it is a key pending deletion."""
    if ":kms:" not in arn:
        return False
    return bool(
        session.client("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"].startswith("Pending")
    )


def main() -> None:
    """Poll until nothing is left or the time is up; in that case list what is left and exit with 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--tag", required=True, metavar="KEY=VALUE", help="the tag of the stack")
    parser.add_argument("--wait", type=float, default=120, help="seconds to wait for AWS to delete the rest")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.wait
    try:
        tag = Tag.of(arguments.tag)
        asks = asking(arguments)
        while left := tagged_resources(asks, tag):
            if time.monotonic() >= end:
                sys.exit("\n  ".join([f"tagged: {len(left)} of {arguments.tag} still exist:", *left]))
            time.sleep(min(_EVERY_SECONDS, max(0.0, end - time.monotonic())))
    except RecoveryError as error:
        sys.exit(f"tagged: {error}")
    print(f"nothing in {arguments.region} carries {arguments.tag}")


if __name__ == "__main__":
    run(main)
