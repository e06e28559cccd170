"""Security groups with inline rules, and a VPC's default one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapters.ec2 import Ec2, filters

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_DIRECTIONS = {"ingress": "IpPermissions", "egress": "IpPermissionsEgress"}


def _permission(rule: Properties, group: str) -> Properties:
    """Return EC2's permission for Pulumi's form of a rule."""
    words = {"Description": rule["description"]} if rule.get("description") else {}
    peers = [*(rule.get("securityGroups") or []), *([group] if rule.get("self") else [])]
    made: Properties = {
        "IpProtocol": str(rule["protocol"]).replace("all", "-1"),
        "IpRanges": [{"CidrIp": each, **words} for each in rule.get("cidrBlocks") or []],
        "Ipv6Ranges": [{"CidrIpv6": each, **words} for each in rule.get("ipv6CidrBlocks") or []],
        "PrefixListIds": [{"PrefixListId": each, **words} for each in rule.get("prefixListIds") or []],
        "UserIdGroupPairs": [{"GroupId": each, **words} for each in peers],
    }
    if made["IpProtocol"] != "-1":
        made |= {"FromPort": rule["fromPort"], "ToPort": rule["toPort"]}
    return made


def _rule(permission: Properties, group: str) -> Properties:
    """Return the rule for EC2's permission."""
    pairs = [each["GroupId"] for each in permission.get("UserIdGroupPairs", [])]
    told = {
        "protocol": permission["IpProtocol"],
        "fromPort": permission.get("FromPort", 0),
        "toPort": permission.get("ToPort", 0),
        "cidrBlocks": [each["CidrIp"] for each in permission.get("IpRanges", [])],
        "ipv6CidrBlocks": [each["CidrIpv6"] for each in permission.get("Ipv6Ranges", [])],
        "prefixListIds": [each["PrefixListId"] for each in permission.get("PrefixListIds", [])],
        "securityGroups": [each for each in pairs if each != group],
        "self": group in pairs,
    }
    sources = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    words = {
        each["Description"]
        for name in sources
        for each in permission.get(name, [])
        if each.get("Description")
    }
    return told | ({"description": words.pop()} if words else {})


class SecurityGroup(Ec2):
    token, creates, kind = "aws:ec2/securityGroup:SecurityGroup", "CreateSecurityGroup", "security-group"
    holds, identity, deletes = "", "GroupId", "DeleteSecurityGroup"
    describes = ("DescribeSecurityGroups", "GroupIds", "SecurityGroups")
    names = {
        "name": "GroupName",
        "ingress": None,
        "egress": None,
        "revokeRulesOnDelete": None,
    }
    reads = {"name": "GroupName", "ingress": None, "egress": None}
    replaces = frozenset({"name", "description", "vpcId"})
    updates = frozenset({"ingress", "egress", "revokeRulesOnDelete"})
    autoname = "name"

    def members(self, inputs: Properties) -> Properties:
        return {"Description": "Managed by Pulumi", **super().members(inputs)}

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        self.update(aws, identity, inputs, {"ingress", "egress"})

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        """Set the rules of a direction to those declared; Pulumi's groups start with none."""
        live = self.describe(aws, identity)
        for direction in changed & set(_DIRECTIONS):
            name = direction.title()
            if there := live.get(_DIRECTIONS[direction]):
                self.call(aws, f"RevokeSecurityGroup{name}", GroupId=identity, IpPermissions=there)
            if rules := [_permission(each, identity) for each in inputs.get(direction) or []]:
                self.call(aws, f"AuthorizeSecurityGroup{name}", GroupId=identity, IpPermissions=rules)

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        return {
            direction: [_rule(each, identity) for each in item.get(member, [])]
            for direction, member in _DIRECTIONS.items()
        }


class DefaultSecurityGroup(SecurityGroup):
    """A VPC's default group: it is adopted, and stays when the resource is deleted."""

    token = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    names = {
        "vpcId": None,
        "ingress": None,
        "egress": None,
        "revokeRulesOnDelete": None,
    }
    replaces = frozenset({"vpcId"})
    autoname = ""

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        wanted = filters(group_name="default", vpc_id=inputs["vpcId"])
        found = self.call(aws, "DescribeSecurityGroups", Filters=wanted)["SecurityGroups"]
        if not found:
            raise GoneError(f"the VPC {inputs['vpcId']} has no default security group")
        identity = str(found[0]["GroupId"])
        self.retag(aws, identity, {}, tags, [])
        return identity

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        """Keep it: it is deleted with its VPC."""


ADAPTERS = (SecurityGroup, DefaultSecurityGroup)
