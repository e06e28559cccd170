"""Which nodes the training gets: a type, others that stand in for it, and zones."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.aws.instance_types import instance_type
from tests.stacks.test_s2_cloud_training import Declared, config, declare, declared
from tests.stacks.test_s2_on_aws import pod_of, training_group

__all__ = ["declared"]

ONE_POD = {"image": "registry.example/model:1", "pods": 1}


def nodes(**changes: Any) -> dict[str, Any]:
    return {"instance_type": "g6.2xlarge", "maximum": 2, **changes}


def test_ec2_may_start_others_in_other_zones_and_a_pod_fits_on_each_of_them(declared: Declared) -> None:
    others = ["g5.2xlarge", "g6e.2xlarge"]
    wanted = nodes(other_types=others, other_zones=["eu-central-1b"], maximum=1)
    declare(config(cloud__nodes=wanted, own__training=ONE_POD))
    group = training_group(declared)
    assert group["instanceTypes"] == ["g6.2xlarge", *others]
    assert group["subnetIds"] == ["training-eu-central-1a-id", "training-eu-central-1b-id"]
    requests = pod_of(declared)["containers"][0]["resources"]["requests"]
    types = [instance_type(each) for each in group["instanceTypes"]]
    assert requests["memory"] == f"{min(each.pod_memory_gib for each in types)}Gi"
    (check,) = declared.resources["pulumi-python:dynamic/aws:AccountCheck"]
    (need,) = [each for each in check["needs"] if each["instance_type"] == "g6.2xlarge"]
    assert need["others"] == {"g5.2xlarge": 8, "g6e.2xlarge": 8}
    assert need["zones"] == ["eu-central-1a", "eu-central-1b"]


def test_several_pods_may_be_on_larger_nodes_with_the_same_gpu(declared: Declared) -> None:
    declare(config(cloud__nodes=nodes(other_types=["g6.4xlarge"])))
    assert training_group(declared)["instanceTypes"] == ["g6.2xlarge", "g6.4xlarge"]


BLOCK = {"kind": "reservation", "reservation": "cr-0123456789abcdef0"}


@pytest.mark.parametrize(
    ("changed", "pods", "said"),
    [
        ({"other_types": ["g6.2xlarge"]}, 1, "other_types: g6.2xlarge is named twice"),
        ({"other_types": ["g5.2xlarge", "g5.2xlarge"]}, 1, "other_types: g5.2xlarge is named twice"),
        ({"other_types": ["g6.12xlarge"]}, 1, "g6.12xlarge has 4 GPUs, and g6.2xlarge 1"),
        ({"other_types": ["g6f.2xlarge"]}, 1, "g6f.2xlarge has 5 GiB on a GPU, and g6.2xlarge 22"),
        ({"other_types": ["g5.2xlarge"]}, 2, "all of the 2 pods would go at the pace of the slower"),
        ({"other_types": ["m7i.2xlarge"]}, 1, "m7i.2xlarge has 0 GPUs, and g6.2xlarge 1"),
        ({"other_types": ["g9.large"]}, 1, "cloud:nodes.other_types: instance type 'g9.large' is not in the"),
        (
            {"instance_type": "g6.3xlarge"},
            1,
            "cloud:nodes.instance_type: instance type 'g6.3xlarge' is not in the",
        ),
        (
            {"capacity": {"kind": "reservation"}},
            1,
            "cloud:nodes.capacity: capacity 'reservation' needs the ID",
        ),
        (
            {"capacity": BLOCK | {"kind": "capacity-block", "ends": "2099-01-31T11:30:00Z"}},
            1,
            "cloud:nodes.capacity: Capacity Blocks are not sold for g6.2xlarge",
        ),
        (
            {"instance_type": "p4d.24xlarge", "other_types": ["p4de.24xlarge"], "efa": False},
            2,
            "p4de.24xlarge has GPUs of the kind A100 (80 GiB), and p4d.24xlarge A100 (40 GiB)",
        ),
        ({"other_zones": ["eu-central-1b"]}, 1, "other_zones is for one node, and cloud:nodes.maximum is 2"),
        ({"other_zones": ["eu-central-1a"]}, 1, "eu-central-1a is named twice, or is where nodes are anyway"),
        ({"other_zones": ["eu-central-1q"]}, 1, "eu-central-1q is none of cloud:zones, eu-central-1a, eu"),
        (
            {"other_types": ["g5.2xlarge"], "capacity": BLOCK, "zone": "eu-central-1a"},
            1,
            "cr-0123456789abcdef0 is of one type in one zone; leave cloud:nodes.other_types out",
        ),
        (
            {"other_types": ["p5en.48xlarge"], "instance_type": "p5.48xlarge"},
            2,
            "nodes with EFA are of one type in one zone; leave cloud:nodes.other_types out, or set cloud:nodes.efa to",
        ),
        (
            {"instance_type": "g6.8xlarge", "other_zones": ["eu-central-1b"], "efa": True},
            1,
            "nodes with EFA are of one type in one zone; leave cloud:nodes.other_zones out, or set",
        ),
        (
            {"other_types": ["g5.2xlarge"], "topology": True, "minimum": 1},
            1,
            "cloud:nodes.topology is for nodes of one type in one zone; leave it out, or leave",
        ),
    ],
)
def test_what_cannot_stand_in_is_one_clear_error_in_the_preview(
    changed: dict[str, Any], pods: int, said: str, declared: Declared
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        declare(config(cloud__nodes=nodes(**changed), own__training=ONE_POD | {"pods": pods}))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("how", [{"capacity": {"kind": "spot"}}, {"minimum": 2}])
def test_they_may_be_spot_and_of_a_fixed_number(how: dict[str, Any], declared: Declared) -> None:
    declare(config(cloud__nodes=nodes(other_types=["g6.4xlarge"], **how)))
    group = training_group(declared)
    assert group["instanceTypes"] == ["g6.2xlarge", "g6.4xlarge"]
    assert group["capacityType"] == ("SPOT" if "capacity" in how else "ON_DEMAND")
