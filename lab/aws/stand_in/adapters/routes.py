"""Route tables, their associations, and single routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.adapters.ec2 import Ec2, filters

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_INLINE = {"cidrBlock": "DestinationCidrBlock", "ipv6CidrBlock": "DestinationIpv6CidrBlock"}
_TARGETS = {
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "vpcEndpointId": "VpcEndpointId",
}
_DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}


def _added(route: Properties) -> bool:
    """Whether a route was added, and is not the table's own or an endpoint's."""
    return route.get("GatewayId") != "local" and not str(route.get("GatewayId")).startswith("vpce-")


def _renamed(route: Properties, names: dict[str, str]) -> Properties:
    return {name: route[member] for name, member in names.items() if route.get(member)}


class RouteTable(Ec2):
    token, creates, kind = "aws:ec2/routeTable:RouteTable", "CreateRouteTable", "route-table"
    holds, identity, deletes = "RouteTable", "RouteTableId", "DeleteRouteTable"
    describes = ("DescribeRouteTables", "RouteTableIds", "RouteTables")
    names = {"routes": None}
    reads = {"routes": None}
    replaces = frozenset({"vpcId"})
    updates = frozenset({"routes"})

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        for route in inputs.get("routes") or []:
            members = {(_INLINE | _TARGETS)[name]: value for name, value in route.items() if value}
            self.call(aws, "CreateRoute", RouteTableId=identity, **members)

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        for route in filter(_added, self.describe(aws, identity)["Routes"]):
            where = {member: route[member] for member in _INLINE.values() if route.get(member)}
            self.call(aws, "DeleteRoute", RouteTableId=identity, **where)
        self.complete(aws, identity, inputs)

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        return {
            "routes": [_renamed(each, _INLINE | _TARGETS) for each in filter(_added, item.get("Routes", []))]
        }


class RouteTableAssociation(Adapter):
    token, service = "aws:ec2/routeTableAssociation:RouteTableAssociation", "ec2"
    creates = "AssociateRouteTable"
    replaces = frozenset({"subnetId", "gatewayId", "routeTableId"})
    collides = frozenset({"subnetId", "gatewayId"})

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        return str(self.call(aws, self.creates, **self.members(inputs))["AssociationId"])

    def imported(self, aws: Cloud, identity: str) -> str:
        """Its import ID is `subnet/table`."""
        subnet, _, table = identity.partition("/")
        for found in self.call(aws, "DescribeRouteTables", Filters=filters(route_table_id=table))[
            "RouteTables"
        ]:
            for link in found["Associations"]:
                if link.get("SubnetId") == subnet:
                    return str(link["RouteTableAssociationId"])
        raise GoneError(identity)

    def read(self, aws: Cloud, identity: str) -> Properties:
        wanted = [{"Name": "association.route-table-association-id", "Values": [identity]}]
        for table in self.call(aws, "DescribeRouteTables", Filters=wanted)["RouteTables"]:
            for link in table["Associations"]:
                if link["RouteTableAssociationId"] == identity:
                    return self.outputs(link)
        raise GoneError(identity)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, "DisassociateRouteTable", AssociationId=identity)


class Route(Adapter):
    token, service, creates = "aws:ec2/route:Route", "ec2", "CreateRoute"
    names = {"egressOnlyGatewayId": "EgressOnlyInternetGatewayId"}
    replaces = frozenset({"routeTableId", *_DESTINATIONS})
    updates = frozenset(_TARGETS)
    collides = replaces

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        members = self.members(inputs)
        self.call(aws, self.creates, **members)
        destination = next(inputs[name] for name in _DESTINATIONS if inputs.get(name))
        return f"{members['RouteTableId']}_{destination}"

    def read(self, aws: Cloud, identity: str) -> Properties:
        table, _, destination = identity.partition("_")
        found = self.call(aws, "DescribeRouteTables", Filters=filters(route_table_id=table))["RouteTables"]
        for route in found[0]["Routes"] if found else []:
            if destination in (route.get(member) for member in _DESTINATIONS.values()):
                told = {"routeTableId": table, "state": route.get("State"), "origin": route.get("Origin")}
                return told | _renamed(route, _DESTINATIONS | _TARGETS)
        raise GoneError(identity)

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self.call(aws, "ReplaceRoute", **self.members(inputs))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        members: dict[str, Any] = {
            member: state[name] for name, member in _DESTINATIONS.items() if state.get(name)
        }
        self.call(aws, "DeleteRoute", RouteTableId=identity.partition("_")[0], **members)


ADAPTERS = (RouteTable, RouteTableAssociation, Route)
