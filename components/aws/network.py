"""A private network across zones: subnets without public addresses, and private endpoints for AWS services."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2

from components.aws.endpoints import SERVICES, interface_endpoints
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.location import Location

_LONGEST = 24
"""A subnet has at least 256 addresses: pods get theirs from it."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Inputs of a network.

    Attributes:
        location: account, region and zones.
        cidr: the VPC's private IPv4 network, split among the zones.
        nat: a NAT gateway, for outbound internet access only.
        services: further interface endpoints, by service: what they allow.

    """

    location: Location
    cidr: str = "10.80.0.0/16"
    nat: bool = False
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """A network that is somebody else's; nothing in it is changed.

    Attributes:
        vpc_id: the VPC.
        subnet_ids: its private subnets, one per zone, in the order of the location's zones.
        s3_endpoint_id: its gateway endpoint for S3.
        s3_cidrs: S3's addresses in the region.

    """

    vpc_id: str
    subnet_ids: Sequence[str]
    s3_endpoint_id: str
    s3_cidrs: Sequence[str]


class Network(pulumi.ComponentResource):
    """A VPC with one private subnet per zone and endpoints; internet access is optional.

    Raises:
        CloudError: the network is invalid, public, or too small for its zones.

    """

    vpc_id: pulumi.Output[str]
    subnet_ids: pulumi.Output[list[str]]
    """In the order of the zones."""
    endpoint_ids: pulumi.Output[dict[str, str]]
    """The interface endpoints, by service."""
    s3_endpoint_id: pulumi.Output[str]
    s3_cidrs: pulumi.Output[Sequence[str]]
    """S3's addresses in the region, for those who may call nothing else there: routes lead to the endpoint."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the network under `name`."""
        blocks = _blocks(args.cidr, len(args.location.zones) + 1)
        super().__init__("scenario:aws:Network", name, None, opts)
        self._own = pulumi.ResourceOptions(parent=self)
        made = ec2.Vpc(
            name,
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._own,
        )
        # The default group allows no traffic in either direction.
        ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=made.id, opts=self._own)
        table = ec2.RouteTable(
            f"{name}-private", vpc_id=made.id, tags={"Name": f"{name}-private"}, opts=self._own
        )
        subnets = self._subnets(name, args.location.zones, made, table, blocks[1:])
        if args.nat:
            self._way_out(name, args.location.zones[0], made, table, blocks[0])
        s3 = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=made.id,
            service_name=f"com.amazonaws.{args.location.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id],
            tags={"Name": f"{name}-s3"},
            opts=self._own,
        )
        endpoints = interface_endpoints(
            name,
            args.location,
            vpc_id=made.id,
            cidr=args.cidr,
            subnet_ids=[subnet.id for subnet in subnets],
            services={**SERVICES, **args.services},
            parent=self,
        )
        self.vpc_id = made.id
        self.subnet_ids = pulumi.Output.all(*[subnet.id for subnet in subnets])
        self.endpoint_ids = pulumi.Output.all(**{key: each.id for key, each in endpoints.items()})
        self.s3_endpoint_id, self.s3_cidrs = s3.id, s3.cidr_blocks
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "subnet_ids": self.subnet_ids,
                "endpoint_ids": self.endpoint_ids,
                "s3_endpoint_id": self.s3_endpoint_id,
            }
        )

    def _subnets(
        self, name: str, zones: tuple[str, ...], made: ec2.Vpc, table: ec2.RouteTable, blocks: list[str]
    ) -> list[ec2.Subnet]:
        subnets = []
        for zone, block in zip(zones, blocks, strict=True):
            subnet = ec2.Subnet(
                f"{name}-{zone}",
                vpc_id=made.id,
                availability_zone=zone,
                cidr_block=block,
                map_public_ip_on_launch=False,
                tags={"Name": f"{name}-{zone}", "kubernetes.io/role/internal-elb": "1"},
                opts=self._own,
            )
            ec2.RouteTableAssociation(
                f"{name}-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._own
            )
            subnets.append(subnet)
        return subnets

    def _way_out(self, name: str, zone: str, made: ec2.Vpc, private: ec2.RouteTable, block: str) -> None:
        """Add a subnet that holds a NAT gateway and nothing else, and route the private ones there."""
        gateway = ec2.InternetGateway(
            f"{name}-out", vpc_id=made.id, tags={"Name": f"{name}-out"}, opts=self._own
        )
        subnet = ec2.Subnet(
            f"{name}-nat",
            vpc_id=made.id,
            availability_zone=zone,
            cidr_block=block,
            map_public_ip_on_launch=False,
            tags={"Name": f"{name}-nat"},
            opts=self._own,
        )
        table = ec2.RouteTable(f"{name}-nat", vpc_id=made.id, tags={"Name": f"{name}-nat"}, opts=self._own)
        ec2.RouteTableAssociation(f"{name}-nat", subnet_id=subnet.id, route_table_id=table.id, opts=self._own)
        way = ec2.Route(
            f"{name}-internet",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._own,
        )
        address = ec2.Eip(f"{name}-nat", domain="vpc", tags={"Name": f"{name}-nat"}, opts=self._own)
        nat = ec2.NatGateway(
            f"{name}-nat",
            subnet_id=subnet.id,
            allocation_id=address.id,
            tags={"Name": f"{name}-nat"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[way]),
        )
        ec2.Route(
            f"{name}-nat",
            route_table_id=private.id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.id,
            opts=self._own,
        )


def _blocks(cidr: str, count: int) -> list[str]:
    """Split a network into `count` equal subnets. Raises CloudError."""
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise CloudError(
            f"invalid network cidr {cidr!r}: {error}; write a private one, as in 10.80.0.0/16"
        ) from None
    longer = (count - 1).bit_length()
    if not network.is_private:
        raise CloudError(f"network cidr {cidr} is not private; use a part of 10.0.0.0/8, as in 10.80.0.0/16")
    if not 16 <= network.prefixlen <= _LONGEST - longer:
        raise CloudError(
            f"network cidr {cidr} does not fit: a VPC's prefix is at least 16, and for {count} subnets of "
            f"256 addresses or more {_LONGEST - longer} at most"
        )
    return [str(block) for block in network.subnets(prefixlen_diff=longer)][:count]
