"""What pods may use of a node's disk, against what nodes of EKS told of theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.aws.instance_types import INSTANCE_TYPES, instance_type
from components.aws.node_disks import allocatable_gib, scratch_gib
from components.errors import CloudError

CPU = instance_type("m7i.large")


@pytest.mark.parametrize("told", [18242267924, 18181869946])
def test_a_disk_of_20_gib_offers_what_nodes_told_of_it_to_half_a_percent(told: int) -> None:
    assert 0.995 * told < allocatable_gib(CPU, 20) * 2**30 <= told


def test_two_local_disks_of_900_gb_offer_nine_tenths_of_the_array_that_a_node_told() -> None:
    two = replace(CPU, nvme_disks=2, nvme_disk_gb=900)
    array = 1756689344 / 2**20
    assert 0.995 * (0.9 * array - 1) < allocatable_gib(two, 200) <= 0.9 * array - 1


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_on_every_type_a_pod_has_scratch_beside_images_of_60_gib(name: str) -> None:
    row = INSTANCE_TYPES[name]
    assert 20 <= scratch_gib(row, 200) <= allocatable_gib(row, 200) - 60


def test_local_disks_are_used_before_the_first_one() -> None:
    assert scratch_gib(instance_type("g6.2xlarge"), 200) == 314
    assert (
        scratch_gib(instance_type("p5.48xlarge"), 200)
        == scratch_gib(instance_type("p5.48xlarge"), 500)
        > 20_000
    )
    assert scratch_gib(CPU, 200) == 118
    assert scratch_gib(CPU, 500) == 387


def test_a_disk_without_room_for_more_than_images_is_refused() -> None:
    with pytest.raises(
        CloudError, match=r"cloud:nodes\.disk_gib is 60: after system and images a m7i\.large node"
    ):
        scratch_gib(CPU, 60)
