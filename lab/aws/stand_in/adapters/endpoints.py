"""VPC endpoints: how a private subnet reaches S3, ECR and the like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.adapters.ec2 import Ec2

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_EVERYTHING = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
"""AWS's default policy of an endpoint."""


class VpcEndpoint(Ec2):
    token, creates, kind = "aws:ec2/vpcEndpoint:VpcEndpoint", "CreateVpcEndpoint", "vpc-endpoint"
    holds, identity, deletes = "VpcEndpoint", "VpcEndpointId", "DeleteVpcEndpoints"
    describes = ("DescribeVpcEndpoints", "VpcEndpointIds", "VpcEndpoints")
    names = {"policy": "PolicyDocument", "autoAccept": None}
    reads = {"policy": "PolicyDocument", "securityGroupIds": None}
    documents = {"policy": "resource"}
    replaces = frozenset({"vpcId", "serviceName", "vpcEndpointType"})
    updates = frozenset({"policy", "privateDnsEnabled", "routeTableIds", "securityGroupIds", "subnetIds"})

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        inputs = {"vpcEndpointType": "Gateway", **inputs}  # AWS's default, missing from moto
        if subnets := inputs.get("subnetIds"):  # moto would accept any
            self.call(aws, "DescribeSubnets", SubnetIds=subnets)
        if groups := inputs.get("securityGroupIds"):
            self.call(aws, "DescribeSecurityGroups", GroupIds=groups)
        return super().create(aws, inputs, tags)

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        live = self.describe(aws, identity)
        members: Properties = {"VpcEndpointId": identity}
        for name, kept, member in (
            ("routeTableIds", live.get("RouteTableIds", []), "RouteTableIds"),
            ("subnetIds", live.get("SubnetIds", []), "SubnetIds"),
            ("securityGroupIds", [each["GroupId"] for each in live.get("Groups", [])], "SecurityGroupIds"),
        ):
            wanted = inputs.get(name) or []
            if name in changed:
                members[f"Add{member}"] = sorted(set(wanted) - set(kept))
                members[f"Remove{member}"] = sorted(set(kept) - set(wanted))
        if "policy" in changed:
            members |= {"PolicyDocument": inputs["policy"]} if inputs.get("policy") else {"ResetPolicy": True}
        if "privateDnsEnabled" in changed:
            members["PrivateDnsEnabled"] = bool(inputs.get("privateDnsEnabled"))
        self.call(aws, "ModifyVpcEndpoint", **members)

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        groups = [each["GroupId"] for each in item.get("Groups", []) if "GroupId" in each]
        addresses = self._addresses(aws, item) if item.get("VpcEndpointType") == "Gateway" else []
        return ({"securityGroupIds": groups} if groups else {}) | (
            {"cidrBlocks": addresses} if addresses else {}
        )

    def _addresses(self, aws: Cloud, item: Properties) -> list[str]:
        """Return the service's addresses, which the provider reads from the prefix list of its name."""
        named = [{"Name": "prefix-list-name", "Values": [item["ServiceName"]]}]
        lists = self.call(aws, "DescribeManagedPrefixLists", Filters=named)["PrefixLists"]
        found = self.call(aws, "GetManagedPrefixListEntries", PrefixListId=lists[0]["PrefixListId"])
        return [each["Cidr"] for each in found["Entries"]]

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, self.deletes, VpcEndpointIds=[identity])


class VpcEndpointPolicy(Adapter):
    """The policy of an endpoint that is a separate resource, possibly of another stack."""

    token, service = "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy", "ec2"
    creates = "ModifyVpcEndpoint"
    names = {"policy": "PolicyDocument"}
    documents = {"policy": "resource"}
    replaces = frozenset({"vpcEndpointId"})
    updates = frozenset({"policy"})
    collides = replaces

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return str(inputs["vpcEndpointId"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self.call(aws, self.creates, **self.members(inputs))

    def read(self, aws: Cloud, identity: str) -> Properties:
        found = self.call(aws, "DescribeVpcEndpoints", VpcEndpointIds=[identity])["VpcEndpoints"]
        policy = found[0]["PolicyDocument"] if found else "{}"
        if json.loads(policy).get("Statement", [_EVERYTHING]) == [_EVERYTHING]:
            raise GoneError(identity)
        return {"vpcEndpointId": identity, "policy": policy}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        """Restore AWS's default policy; moto does not support `ResetPolicy`."""
        document = json.dumps({"Version": "2012-10-17", "Statement": [_EVERYTHING]})
        self.call(aws, self.creates, VpcEndpointId=identity, PolicyDocument=document)


class VpcEndpointService(Ec2):
    """What others may connect to through PrivateLink."""

    token, kind = "aws:ec2/vpcEndpointService:VpcEndpointService", "vpc-endpoint-service"
    creates = "CreateVpcEndpointServiceConfiguration"
    holds, identity = "ServiceConfiguration", "ServiceId"
    deletes = "DeleteVpcEndpointServiceConfigurations"
    describes = ("DescribeVpcEndpointServiceConfigurations", "ServiceIds", "ServiceConfigurations")
    names = {"allowedPrincipals": None}
    reads = {"allowedPrincipals": None, "state": "ServiceState"}
    updates = frozenset({"allowedPrincipals", "acceptanceRequired"})

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        self._allow(aws, identity, set(inputs.get("allowedPrincipals") or []))

    def _allow(self, aws: Cloud, identity: str, wanted: set[str]) -> None:
        kept = set(self._allowed(aws, identity))
        changes = {
            "AddAllowedPrincipals": sorted(wanted - kept),
            "RemoveAllowedPrincipals": sorted(kept - wanted),
        }
        if told := {name: each for name, each in changes.items() if each}:
            self.call(aws, "ModifyVpcEndpointServicePermissions", ServiceId=identity, **told)

    def _allowed(self, aws: Cloud, identity: str) -> list[str]:
        told = self.call(aws, "DescribeVpcEndpointServicePermissions", ServiceId=identity)
        return [each["Principal"] for each in told["AllowedPrincipals"]]

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        if "allowedPrincipals" in changed:
            self._allow(aws, identity, set(inputs.get("allowedPrincipals") or []))
        if "acceptanceRequired" in changed:
            self.call(
                aws,
                "ModifyVpcEndpointServiceConfiguration",
                ServiceId=identity,
                AcceptanceRequired=bool(inputs.get("acceptanceRequired")),
            )

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        allowed = self._allowed(aws, identity)
        return {"allowedPrincipals": allowed} if allowed else {}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.describe(aws, identity)
        self.call(aws, self.deletes, ServiceIds=[identity])


ADAPTERS = (VpcEndpoint, VpcEndpointPolicy, VpcEndpointService)
