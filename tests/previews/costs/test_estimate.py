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


def test_nodes_cost_what_all_of_them_cost() -> None:
    found = estimate([(NODES, "training", nodes())], "us-east-1")
    ((what, number, price),) = found.lines
    assert "g6.2xlarge" in what
    assert (number, price.per_hour, price.as_of) == (3, 0.9776, "2026-07-20")
    assert found.per_hour == pytest.approx(2.9328)
    assert found.share == 1


def test_a_group_has_its_type_from_the_template_of_its_name() -> None:
    group = nodes(instanceTypes=None)
    found = estimate(
        [(TEMPLATE, "training", {"instanceType": "g6.xlarge"}), (NODES, "training", group)], "us-east-1"
    )
    assert [price.per_hour for _, _, price in found.lines] == [0.8048]


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
    assert len(found.unpriced) == 1
    assert found.per_hour == pytest.approx(0.1)
    assert found.share == 0.5


def test_another_region_has_no_price_of_this_one() -> None:
    assert instance("g6.2xlarge", "eu-central-1") != instance("g6.2xlarge", "us-east-1")
    assert instance("g6.2xlarge", "xx-nowhere-1") is None
    assert estimate([("aws:ec2/natGateway:NatGateway", "nat", {})], "eu-central-1").lines == []


def test_most_instance_types_of_the_table_have_a_price() -> None:
    without = [name for name in INSTANCE_TYPES if instance(name, "us-east-1") is None]
    assert without == ["p5e.48xlarge"], "of which the source has none"


def test_what_costs_nothing_by_itself_is_not_counted() -> None:
    found = estimate([("aws:iam/role:Role", "a", {}), ("kubernetes:core/v1:ConfigMap", "b", {})], "us-east-1")
    assert (found.lines, found.unpriced, found.share) == ([], [], 1)
