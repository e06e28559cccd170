"""Costs: what has no price is never free, and each price has a date."""

from __future__ import annotations

from typing import Any

import pytest

from components.aws.instance_types import INSTANCE_TYPES
from previews.costs.estimate import estimate
from previews.costs.prices import instance

NODES, TEMPLATE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/launchTemplate:LaunchTemplate"


def nodes(**changes: Any) -> dict[str, Any]:
    return {"instanceTypes": ["g6.2xlarge"], "scalingConfig": {"maxSize": 3}, **changes}


def template(**disk: Any) -> dict[str, Any]:
    ebs = {"volumeSize": 200, "volumeType": "gp3", **disk}
    return {"instanceType": "g6.xlarge", "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": ebs}]}


def test_nodes_cost_what_all_of_them_and_their_disks_cost() -> None:
    found = estimate([(TEMPLATE, "training", template()), (NODES, "training", nodes())], "us-east-1")
    (node, disks) = found.lines
    assert "g6.2xlarge" in node[0]
    assert (node[1], node[2].per_hour, node[2].as_of) == (3, 0.9776, "2026-07-20")
    assert disks[1] * disks[2].per_hour * 730 == pytest.approx(3 * 200 * 0.08), "by the month and GB"
    assert found.per_hour == pytest.approx(2.9328 + 48 / 730)
    assert found.share == 1


def test_a_group_has_its_type_from_the_template_of_its_name() -> None:
    group = nodes(instanceTypes=None)
    found = estimate([(TEMPLATE, "training", template()), (NODES, "training", group)], "us-east-1")
    assert 0.8048 in [price.per_hour for _, _, price in found.lines]


def test_of_several_types_the_dearest_counts_and_one_without_a_price_is_not_free() -> None:
    several = nodes(instanceTypes=["g6.xlarge", "g6.2xlarge"])
    ((what, _, price), _) = estimate([(TEMPLATE, "a", template()), (NODES, "a", several)], "us-east-1").lines
    assert (what, price.per_hour) == ("node g6.xlarge or g6.2xlarge, all 3 of them", 0.9776)
    unknown = nodes(instanceTypes=["g6.xlarge", "x9.huge"])
    assert len(estimate([(TEMPLATE, "a", template()), (NODES, "a", unknown)], "us-east-1").lines) == 1


@pytest.mark.parametrize(
    ("made", "unpriced"),
    [
        (template(volumeType="io2"), ["disks of nodes, by GiB"]),
        (template(volumeSize="unknown"), ["disks of nodes, by GiB"]),
        (template(throughput=1000), ["throughput of disks"]),
        (template(throughput=125, iops=3000), []),
        ({"instanceType": "g6.xlarge"}, ["disks of nodes, by GiB"]),
    ],
)
def test_a_disk_whose_price_is_not_known_is_not_free(made: dict[str, Any], unpriced: list[str]) -> None:
    found = estimate([(TEMPLATE, "training", made), (NODES, "training", nodes())], "us-east-1")
    assert found.unpriced == unpriced


def test_a_network_of_its_own_costs_while_nothing_runs_in_the_sample_region_too() -> None:
    idle = [
        ("aws:ec2/natGateway:NatGateway", "nat", {}),
        ("aws:ec2/eip:Eip", "nat", {}),
        ("aws:kms/key:Key", "releases", {}),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "sts", {"vpcEndpointType": "Interface", "subnetIds": ["a", "b"]}),
        ("aws:cloudwatch/logGroup:LogGroup", "audit", {}),
    ]
    for region, hourly in (
        ("us-east-1", 0.045 + 0.005 + 1 / 730 + 0.02),
        ("eu-central-1", 0.057 + 1 / 730 + 0.024),
    ):
        found = estimate(idle, region)
        assert found.per_hour == pytest.approx(hourly)
        assert found.unpriced == ["aws:cloudwatch/logGroup:LogGroup"], "by what is written"


@pytest.mark.parametrize(
    "inputs",
    [
        nodes(instanceTypes=["p99.large"]),
        nodes(capacityType="SPOT"),
        nodes(scalingConfig="unknown"),
        nodes(instanceTypes=[]),
    ],
)
def test_what_has_no_price_is_not_free(inputs: dict[str, Any]) -> None:
    found = estimate([(NODES, "training", inputs), ("aws:eks/cluster:Cluster", "training", {})], "us-east-1")
    assert len(found.unpriced) == 2, "nor have their disks, without a template"
    assert found.per_hour == pytest.approx(0.1)
    assert found.share == pytest.approx(1 / 3)


def test_another_region_has_no_price_of_this_one() -> None:
    assert instance("g6.2xlarge", "eu-central-1") != instance("g6.2xlarge", "us-east-1")
    assert instance("g6.2xlarge", "xx-nowhere-1") is None
    assert estimate([("aws:ec2/natGateway:NatGateway", "nat", {})], "eu-north-1").lines == []


def test_most_instance_types_of_the_table_have_a_price() -> None:
    without = [name for name in INSTANCE_TYPES if instance(name, "us-east-1") is None]
    assert without == ["p5e.48xlarge"], "of which the source has none"


def test_what_costs_nothing_by_itself_is_not_counted() -> None:
    found = estimate([("aws:iam/role:Role", "a", {}), ("kubernetes:core/v1:ConfigMap", "b", {})], "us-east-1")
    assert (found.lines, found.unpriced, found.share) == ([], [], 1)
