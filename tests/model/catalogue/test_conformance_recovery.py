"""What TUF lets a site take after all: harmless differences, a long absence, and numbers that a thief counted ahead."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import Refused
from tests.model.catalogue.test_conformance import shown, signed_next, taken, timestamp, visited

if TYPE_CHECKING:
    from tests.model.catalogue.world import World

FAR = 2**31


def test_a_timestamp_that_changes_under_its_number_is_not_taken(world: World) -> None:
    visitor = visited(world)
    before = (world.folder / "site" / "timestamp.json").read_bytes()
    world.edit("timestamp", lambda it: it["meta"]["snapshot.json"].update(version=100), world.online)
    assert taken(visitor) == 2
    assert (world.folder / "site" / "timestamp.json").read_bytes() == before


def test_what_is_kept_is_what_was_received_to_the_byte(world: World) -> None:
    path = world.newest("timestamp")
    world.overwrite(path, path.read_bytes() + b"  ")
    visited(world)
    assert (world.folder / "site" / "timestamp.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("role", ["root", "snapshot", "targets", "releases", "rings"])
def test_a_signed_field_that_nobody_knows_does_no_harm(world: World, role: str) -> None:
    following = signed_next(world, role, lambda it: it.update({"x-of-2030": {"a": [1, None]}}))
    if role != "root":
        shown(world, role, following)
    visited(world)


@pytest.mark.parametrize("signature", ["", "00", "not hexadecimal"])
def test_one_wrong_signature_beside_enough_right_ones_does_no_harm(world: World, signature: str) -> None:
    path = world.newest("targets")
    content = json.loads(path.read_text())
    third = world.roots[2].public_key.keyid
    others = [each for each in content["signatures"] if each["keyid"] != third]
    content["signatures"] = [{"keyid": third, "sig": signature}, *others[:2]]
    world.overwrite(path, json.dumps(content).encode())
    visited(world)


@pytest.mark.slow
def test_a_site_that_was_away_longer_than_anything_lasts_catches_up(world: World) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for role in ("snapshot", "rings"):
        shown(world, role, signed_next(world, role, lambda it: it.update(expires=soon)))
    timestamp(world, lambda it: it.update(expires=soon))
    signed_next(world, "root", lambda it: it.update(expires=soon))
    visitor = visited(world)
    while datetime.now(UTC) < datetime.fromisoformat(soon):
        time.sleep(0.1)
    with pytest.raises(Refused, match="the catalogue is expired"):
        visitor.visit()
    later = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed_next(world, "root", lambda it: it.update(expires=later))
    world.keeper().refresh(world.online)
    assert taken(visitor) == 2


def test_an_expired_root_gives_way_to_the_next_one(world: World) -> None:
    """And if there is none after it, nothing else is taken."""
    signed_next(world, "root", lambda it: it.update(expires="2020-01-01T00:00:00Z"))
    visitor = world.visitor()
    with pytest.raises(Refused, match="expired"):
        visitor.visit()
    assert not (world.folder / "site" / "timestamp.json").exists()
    signed_next(world, "root", lambda it: it.update(expires="2099-01-01T00:00:00Z"))
    assert taken(visitor) == 2


@pytest.mark.parametrize("role", ["snapshot", "rings", "releases"])
def test_numbers_that_a_thief_counted_far_ahead_are_forgiven_once_the_keys_are_replaced(
    world: World, role: str
) -> None:
    visitor = visited(world)
    names = {path.name for path in world.metadata.iterdir()}
    before = world.newest("timestamp").read_bytes()
    shown(world, role, signed_next(world, role, number=FAR))
    assert taken(visitor) == 2
    for path in world.metadata.iterdir():
        if path.name not in names:
            path.unlink()
    world.overwrite(world.newest("timestamp"), before)
    with pytest.raises(Refused, match="rollback"):
        visitor.visit()
    for name in ("online.pem", "online.pub"):
        (world.folder / "keys" / name).unlink()
    former = world.with_keys().roots[:2]
    world.keeper().rotate(former, world.roots, 2, world.release_key, world.online)
    assert taken(visitor) == 2


def test_a_site_follows_every_root_that_it_missed(world: World) -> None:
    visitor = visited(world)
    for _ in range(4):
        former = world.roots
        for number in (1, 2, 3):
            for ending in ("pem", "pub"):
                (world.folder / "keys" / f"root-{number}.{ending}").unlink()
        world.with_keys()
        world.keeper().rotate(former[:2], world.roots, 2, world.release_key, world.online)
    assert taken(visitor) == 2
