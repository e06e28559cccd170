"""The network: private subnets, private doors to AWS, a way out only where asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from components.aws.endpoints import SERVICES
from components.aws.network import Network, NetworkArgs
from components.errors import CloudError
from tests.components.aws.declaring import ACCOUNT, HERE, Declared, declared

if TYPE_CHECKING:
    import pulumi


def a_network(*, cidr: str = "10.80.0.0/16", nat: bool = False) -> Declared:
    def build() -> dict[str, pulumi.Output[Any]]:
        made = Network("main", NetworkArgs(location=HERE, cidr=cidr, nat=nat))
        outputs = ("vpc_id", "subnet_ids", "endpoint_ids", "s3_endpoint_id")
        return {output: getattr(made, output) for output in outputs}

    return declared(build)


SUBNETS = ["main-eu-central-1a", "main-eu-central-1b"]
PRIVATE = sorted(
    [
        "ec2/vpc:Vpc main",
        "ec2/defaultSecurityGroup:DefaultSecurityGroup main-default",
        "ec2/routeTable:RouteTable main-private",
        *[f"ec2/subnet:Subnet {name}" for name in SUBNETS],
        *[f"ec2/routeTableAssociation:RouteTableAssociation {name}" for name in SUBNETS],
        "ec2/securityGroup:SecurityGroup main-endpoints",
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule main-endpoints",
        "ec2/vpcEndpoint:VpcEndpoint main-s3",
        *[f"ec2/vpcEndpoint:VpcEndpoint main-{service.replace('.', '-')}" for service in SERVICES],
    ]
)


def test_a_network_has_no_way_out_unless_it_is_asked_for() -> None:
    made = a_network()
    assert made.names == PRIVATE
    assert made.outputs["subnet_ids"] == [f"{name}-id" for name in SUBNETS]
    assert made.outputs["s3_endpoint_id"] == "main-s3-id"
    assert set(made.outputs["endpoint_ids"]) == set(SERVICES)
    with_nat = a_network(nat=True)
    assert sorted(set(with_nat.names) - set(PRIVATE)) == [
        "ec2/eip:Eip main-nat",
        "ec2/internetGateway:InternetGateway main-out",
        "ec2/natGateway:NatGateway main-nat",
        "ec2/route:Route main-internet",
        "ec2/route:Route main-nat",
        "ec2/routeTable:RouteTable main-nat",
        "ec2/routeTableAssociation:RouteTableAssociation main-nat",
        "ec2/subnet:Subnet main-nat",
    ]
    routes = with_nat.of("ec2/route:Route")
    assert routes["main-nat"] == {
        "routeTableId": "main-private-id",
        "destinationCidrBlock": "0.0.0.0/0",
        "natGatewayId": "main-nat-id",
    }
    assert routes["main-internet"]["routeTableId"] == "main-nat-id", "only the NAT gateway's own subnet"


def test_subnets_share_the_network_one_a_zone_and_give_no_public_address() -> None:
    three = replace(HERE, zones=(*HERE.zones, "eu-central-1c"))
    made = declared(lambda: Network("main", NetworkArgs(location=three, cidr="10.9.0.0/16")))
    subnets = made.of("ec2/subnet:Subnet")
    assert {name: each["cidrBlock"] for name, each in subnets.items()} == {
        "main-eu-central-1a": "10.9.64.0/18",
        "main-eu-central-1b": "10.9.128.0/18",
        "main-eu-central-1c": "10.9.192.0/18",
    }
    assert not any(each["mapPublicIpOnLaunch"] for each in subnets.values())
    assert {each["availabilityZone"] for each in subnets.values()} == set(three.zones)


def test_endpoints_are_for_the_accounts_own_principals_by_tls_and_name_each_operation() -> None:
    made = a_network(cidr="10.9.0.0/16")
    rule = made.one("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert (rule["fromPort"], rule["toPort"], rule["ipProtocol"]) == (443, 443, "tcp")
    assert rule["cidrIpv4"] == "10.9.0.0/16"
    for service, actions in SERVICES.items():
        name = f"main-{service.replace('.', '-')}"
        endpoint = made.of("ec2/vpcEndpoint:VpcEndpoint")[name]
        assert endpoint["serviceName"] == f"com.amazonaws.eu-central-1.{service}"
        assert endpoint["vpcEndpointType"] == "Interface"
        assert endpoint["privateDnsEnabled"] is True
        (statement,) = made.statements("ec2/vpcEndpoint:VpcEndpoint", name).values()
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
        assert statement["Action"] == list(actions)
        assert not [action for action in actions if "*" in action]
    s3 = made.of("ec2/vpcEndpoint:VpcEndpoint")["main-s3"]
    assert s3["vpcEndpointType"] == "Gateway"
    assert s3["routeTableIds"] == ["main-private-id"]
    assert "policy" not in s3, "the release bucket gives it one"


@pytest.mark.parametrize(
    ("cidr", "said"),
    [
        ("10.80.0.1/16", "invalid network cidr '10.80.0.1/16': .*host bits set"),
        ("all", "invalid network cidr 'all'"),
        ("8.8.0.0/16", "network cidr 8.8.0.0/16 is not private"),
        ("10.0.0.0/8", "a VPC's prefix is at least 16"),
        ("10.80.0.0/23", "for 3 subnets of 256 addresses or more 22 at most"),
    ],
)
def test_a_network_that_is_none_is_one_line(cidr: str, said: str) -> None:
    with pytest.raises(CloudError, match=said):
        a_network(cidr=cidr)
