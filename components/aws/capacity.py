"""How GPU capacity is purchased: on demand, spot, a reservation, or a Capacity Block with its end."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.errors import CloudError

if TYPE_CHECKING:
    from components.aws.instances import InstanceType

KINDS = ("on-demand", "spot", "reservation", "capacity-block")
_TAKEN_BACK = dt.timedelta(minutes=40)
"""EKS takes a group's nodes away this long before their block ends, ten minutes before EC2 would: EKS user guide,
Capacity Blocks for ML, read 2026-11."""
_TO_SAVE = dt.timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDemand:
    """Billed by the second, while capacity lasts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """Spare capacity, cheaper, reclaimed with two minutes' notice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """An on-demand capacity reservation, and its placement group, if any."""

    id: str
    placement_group: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityBlock:
    """Capacity bought for a time that ends at `ends` (with a time zone)."""

    id: str
    ends: dt.datetime

    @property
    def save_before(self) -> dt.datetime:
        """When training has to save and end, before EKS takes the nodes away."""
        return self.ends - _TAKEN_BACK - _TO_SAVE


Capacity = OnDemand | Spot | Reservation | CapacityBlock


def capacity(
    kind: str,
    *,
    reservation: str | None = None,
    placement_group: str | None = None,
    ends: str | None = None,
    now: dt.datetime | None = None,
) -> Capacity:
    """Return the capacity for these settings.

    Args:
        kind: one of `KINDS`.
        reservation: ID of the reservation or block, as in `cr-0123456789abcdef0`.
        placement_group: the reservation's placement group.
        ends: when a block ends, ISO 8601 with a time zone.
        now: the time to compare with; default: the current time.

    Raises:
        CloudError: unknown kind; a value is missing, malformed or not for that kind; the block has ended.

    """
    if kind not in KINDS:
        raise CloudError(f"unknown capacity kind {kind!r}; use one of {', '.join(KINDS)}")
    given = {"reservation": reservation, "placement group": placement_group, "end": ends}
    allowed = {"reservation": {"reservation", "placement group"}, "capacity-block": {"reservation", "end"}}
    for what, value in given.items():
        if value is not None and what not in allowed.get(kind, set()):
            raise CloudError(f"capacity {kind!r} has no {what}, but {value!r} is given; remove it")
    if kind == "on-demand":
        return OnDemand()
    if kind == "spot":
        return Spot()
    identity = _reservation_id(kind, reservation)
    if kind == "reservation":
        return Reservation(id=identity, placement_group=placement_group)
    return CapacityBlock(id=identity, ends=_end(identity, ends, now or dt.datetime.now(dt.UTC)))


def check_capacity(instance: InstanceType, wanted: Capacity) -> None:
    """Refuse a capacity that is not sold for an instance type.

    Raises:
        CloudError: it is not.

    """
    if isinstance(wanted, CapacityBlock) and not instance.capacity_blocks:
        raise CloudError(
            f"Capacity Blocks are not sold for {instance.name}; use on-demand, spot or a reservation, or a "
            "type of p4d, p4de, p5, p5e, p5en, p6-b200 or p6-b300"
        )


def _reservation_id(kind: str, identity: str | None) -> str:
    if identity is None or not re.fullmatch(r"cr-[0-9a-f]{8,17}", identity):
        told = "it is missing" if identity is None else f"{identity!r} is invalid"
        raise CloudError(
            f"capacity {kind!r} needs the ID of the reservation (cr-…); {told}; "
            "`aws ec2 describe-capacity-reservations` lists them"
        )
    return identity


def _end(identity: str, ends: str | None, now: dt.datetime) -> dt.datetime:
    example = "as in 2027-01-31T11:30:00Z; `aws ec2 describe-capacity-reservations` shows it"
    if ends is None:
        raise CloudError(f"the Capacity Block {identity} needs its end: a time with a time zone, {example}")
    try:
        end = dt.datetime.fromisoformat(ends)
    except ValueError:
        raise CloudError(f"cannot parse the end time {ends!r} of {identity}; write it {example}") from None
    if end.tzinfo is None:
        raise CloudError(f"the end time {ends!r} of {identity} has no time zone; write it {example}")
    if end - _TAKEN_BACK - _TO_SAVE <= now:
        raise CloudError(
            f"the Capacity Block {identity} ends at {ends}, and EKS takes its nodes away 40 minutes before: "
            "there is no time left to train; buy another block, or use another capacity"
        )
    return end
