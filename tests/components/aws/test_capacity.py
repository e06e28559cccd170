"""How nodes are come by: what each kind needs, and one clear line for what is missing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from components.aws.capacity import CapacityBlock, OnDemand, Reservation, Spot, capacity, check_capacity
from components.aws.instance_types import INSTANCE_TYPES, instance_type
from components.errors import CloudError

NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
ID = "cr-0123456789abcdef0"


def test_each_kind_is_read_with_what_belongs_to_it() -> None:
    assert capacity("on-demand") == OnDemand()
    assert capacity("spot") == Spot()
    assert capacity("reservation", reservation=ID) == Reservation(id=ID)
    near = capacity("reservation", reservation=ID, placement_group="near")
    assert near == Reservation(id=ID, placement_group="near")
    block = capacity("capacity-block", reservation=ID, ends="2026-11-26T11:30:00+01:00", now=NOW)
    assert isinstance(block, CapacityBlock)
    assert block.ends == dt.datetime(2026, 11, 26, 10, 30, tzinfo=dt.UTC)
    assert block.save_before == dt.datetime(2026, 11, 26, 9, 40, tzinfo=dt.UTC), (
        "EKS takes the nodes away at 9:50"
    )


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (
            "cheap",
            {},
            "unknown capacity kind 'cheap'; use one of on-demand, spot, reservation, capacity-block",
        ),
        ("spot", {"ends": "2027-01-01T00:00:00Z"}, "capacity 'spot' has no end, but '2027-01-01T00:00:00Z'"),
        ("on-demand", {"reservation": ID}, "capacity 'on-demand' has no reservation"),
        ("reservation", {}, r"needs the ID of the reservation \(cr-…\); it is missing"),
        ("reservation", {"reservation": "mine"}, "'mine' is invalid"),
        (
            "capacity-block",
            {"reservation": ID},
            f"the Capacity Block {ID} needs its end: a time with a time zone",
        ),
        ("capacity-block", {"reservation": ID, "ends": "soon"}, f"cannot parse the end time 'soon' of {ID}"),
        (
            "capacity-block",
            {"reservation": ID, "ends": "2026-11-30T11:30:00"},
            "'2026-11-30T11:30:00' .* has no time zone",
        ),
        (
            "capacity-block",
            {"reservation": ID, "ends": "2026-11-25T12:30:00Z"},
            "takes its nodes away 40 minutes before: there is no time left",
        ),
    ],
)
def test_what_is_missing_or_does_not_belong_is_one_line(kind: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(CloudError, match=said):
        capacity(kind, **given, now=NOW)


def test_blocks_are_only_of_the_types_that_they_are_sold_for() -> None:
    block = CapacityBlock(id=ID, ends=NOW)
    sold = [name for name, row in INSTANCE_TYPES.items() if row.capacity_blocks]
    assert sold
    for name in sold:
        check_capacity(instance_type(name), block)
    with pytest.raises(CloudError, match=r"Capacity Blocks are not sold for g6e.48xlarge"):
        check_capacity(instance_type("g6e.48xlarge"), block)
    check_capacity(instance_type("g6e.48xlarge"), Reservation(id=ID))
