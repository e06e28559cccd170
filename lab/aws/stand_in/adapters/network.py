"""VPCs, subnets, gateways and addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in.adapters.ec2 import Ec2, filters

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class Vpc(Ec2):
    token, creates, kind = "aws:ec2/vpc:Vpc", "CreateVpc", "vpc"
    holds, identity, deletes = "Vpc", "VpcId", "DeleteVpc"
    describes = ("DescribeVpcs", "VpcIds", "Vpcs")
    names = {
        "assignGeneratedIpv6CidrBlock": "AmazonProvidedIpv6CidrBlock",
        "enableDnsHostnames": None,
        "enableDnsSupport": None,
    }
    reads = {"ipv6CidrBlock": None}
    replaces = frozenset({"cidrBlock", "instanceTenancy", "assignGeneratedIpv6CidrBlock"})
    updates = frozenset({"enableDnsHostnames", "enableDnsSupport"})

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        self.update(aws, identity, inputs, set(self.updates))

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        for name in changed & self.updates:
            wanted = inputs.get(name)
            value = name == "enableDnsSupport" if wanted is None else wanted  # AWS's own defaults
            member = name[0].upper() + name[1:]
            self.call(aws, "ModifyVpcAttribute", VpcId=identity, **{member: {"Value": value}})

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        found: Properties = {}
        for name in self.updates:
            answer = self.call(aws, "DescribeVpcAttribute", VpcId=identity, Attribute=name)
            found[name] = answer[name[0].upper() + name[1:]]["Value"]
        tables = self.call(aws, "DescribeRouteTables", Filters=filters(vpc_id=identity))["RouteTables"]
        groups = self.call(
            aws, "DescribeSecurityGroups", Filters=filters(vpc_id=identity, group_name="default")
        )["SecurityGroups"] or [{}]
        main = next(
            (
                each["RouteTableId"]
                for each in tables
                for link in each.get("Associations", [])
                if link.get("Main")
            ),
            None,
        )
        return found | {
            "mainRouteTableId": main,
            "defaultRouteTableId": main,
            "defaultSecurityGroupId": groups[0].get("GroupId"),
        }


class Subnet(Ec2):
    token, creates, kind = "aws:ec2/subnet:Subnet", "CreateSubnet", "subnet"
    holds, identity, deletes = "Subnet", "SubnetId", "DeleteSubnet"
    describes = ("DescribeSubnets", "SubnetIds", "Subnets")
    names = {"mapPublicIpOnLaunch": None, "assignIpv6AddressOnCreation": None}
    replaces = frozenset({"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "ipv6CidrBlock"})
    updates = frozenset({"mapPublicIpOnLaunch", "assignIpv6AddressOnCreation"})
    collides = frozenset({"vpcId", "cidrBlock"})

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        self.update(aws, identity, inputs, set(inputs))

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        for name in changed & self.updates:  # EC2 accepts one per call
            member = {name[0].upper() + name[1:]: {"Value": bool(inputs.get(name))}}
            self.call(aws, "ModifySubnetAttribute", SubnetId=identity, **member)


class InternetGateway(Ec2):
    token, creates, kind = (
        "aws:ec2/internetGateway:InternetGateway",
        "CreateInternetGateway",
        "internet-gateway",
    )
    holds, identity, deletes = "InternetGateway", "InternetGatewayId", "DeleteInternetGateway"
    describes = ("DescribeInternetGateways", "InternetGatewayIds", "InternetGateways")
    names = {"vpcId": None}
    updates = frozenset({"vpcId"})

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        if inputs.get("vpcId"):
            self.call(aws, "AttachInternetGateway", InternetGatewayId=identity, VpcId=inputs["vpcId"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self._detach(aws, identity)
        self.complete(aws, identity, inputs)

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        return {"vpcId": next((each["VpcId"] for each in item.get("Attachments", [])), None)}

    def _detach(self, aws: Cloud, identity: str) -> None:
        for each in self.describe(aws, identity).get("Attachments", []):
            self.call(aws, "DetachInternetGateway", InternetGatewayId=identity, VpcId=each["VpcId"])

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self._detach(aws, identity)
        super().delete(aws, identity, state)


class NatGateway(Ec2):
    token, creates, kind = "aws:ec2/natGateway:NatGateway", "CreateNatGateway", "natgateway"
    holds, identity, deletes = "NatGateway", "NatGatewayId", "DeleteNatGateway"
    describes = ("DescribeNatGateways", "NatGatewayIds", "NatGateways")
    names = {"privateIp": "PrivateIpAddress"}
    replaces = frozenset({"subnetId", "allocationId", "connectivityType", "privateIp"})

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        address: Properties = next(iter(item.get("NatGatewayAddresses", [])), {})
        return {
            "allocationId": address.get("AllocationId"),
            "publicIp": address.get("PublicIp"),
            "privateIp": address.get("PrivateIp"),
            "networkInterfaceId": address.get("NetworkInterfaceId"),
        }


class Eip(Ec2):
    token, creates, kind = "aws:ec2/eip:Eip", "AllocateAddress", "elastic-ip"
    holds, identity, deletes = "", "AllocationId", "ReleaseAddress"
    describes = ("DescribeAddresses", "AllocationIds", "Addresses")
    reads = {"privateIp": "PrivateIpAddress"}
    replaces = frozenset({"domain", "networkBorderGroup", "publicIpv4Pool", "address"})


ADAPTERS = (Vpc, Subnet, InternetGateway, NatGateway, Eip)
