"""Single rules of security groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapters.ec2 import Ec2
from lab.aws.stand_in.conversion import tag_list

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class _Rule(Ec2):
    kind, identity = "security-group-rule", "SecurityGroupRuleId"
    describes = ("DescribeSecurityGroupRules", "SecurityGroupRuleIds", "SecurityGroupRules")
    deletes = ""
    direction = ""
    names = {
        "securityGroupId": "GroupId",
        "cidrIpv4": None,
        "cidrIpv6": None,
        "prefixListId": None,
        "referencedSecurityGroupId": None,
        "description": None,
    }
    reads = {"securityGroupId": "GroupId", "referencedSecurityGroupId": None}
    replaces = frozenset({"securityGroupId"})
    updates = frozenset(
        {
            *("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"),
            *("description", "ipProtocol", "fromPort", "toPort"),
        }
    )

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        words = {"Description": inputs["description"]} if inputs.get("description") else {}
        sources = {
            "cidrIpv4": ("IpRanges", "CidrIp"),
            "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
            "prefixListId": ("PrefixListIds", "PrefixListId"),
            "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
        }
        permission: Properties = {"IpProtocol": inputs["ipProtocol"]}
        for name, (member, key) in sources.items():
            if inputs.get(name):
                permission[member] = [{key: inputs[name], **words}]
        for name, member in (("fromPort", "FromPort"), ("toPort", "ToPort")):
            if inputs.get(name) is not None:
                permission[member] = inputs[name]
        made = self.call(
            aws,
            f"AuthorizeSecurityGroup{self.direction}",
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            **({"TagSpecifications": [{"ResourceType": self.kind, "Tags": tag_list(tags)}]} if tags else {}),
        )
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        members = {
            "IpProtocol": inputs["ipProtocol"],
            "FromPort": inputs.get("fromPort", -1),
            "ToPort": inputs.get("toPort", -1),
            "CidrIpv4": inputs.get("cidrIpv4"),
            "CidrIpv6": inputs.get("cidrIpv6"),
            "PrefixListId": inputs.get("prefixListId"),
            "ReferencedGroupId": inputs.get("referencedSecurityGroupId"),
            "Description": inputs.get("description"),
        }
        rule = {name: value for name, value in members.items() if value is not None}
        changes = [{"SecurityGroupRuleId": identity, "SecurityGroupRule": rule}]
        self.call(
            aws, "ModifySecurityGroupRules", GroupId=inputs["securityGroupId"], SecurityGroupRules=changes
        )

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        return {"referencedSecurityGroupId": item.get("ReferencedGroupInfo", {}).get("GroupId")}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        group = state.get("securityGroupId")
        if not group:
            raise GoneError(identity)
        self.call(aws, f"RevokeSecurityGroup{self.direction}", GroupId=group, SecurityGroupRuleIds=[identity])


class SecurityGroupIngressRule(_Rule):
    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    creates, direction = "AuthorizeSecurityGroupIngress", "Ingress"


class SecurityGroupEgressRule(_Rule):
    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    creates, direction = "AuthorizeSecurityGroupEgress", "Egress"


ADAPTERS = (SecurityGroupIngressRule, SecurityGroupEgressRule)
