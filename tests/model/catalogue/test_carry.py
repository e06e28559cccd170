"""A copy of a catalogue that is carried to sites without a link."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from scenario_model.catalogue.carry import carry
from scenario_model.catalogue.command import command
from scenario_model.catalogue.documents import Assignment, ring_target, site_target
from scenario_model.catalogue.download import Download
from scenario_model.catalogue.sources import FolderSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.errors import InputError
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.catalogue.world import World

YEAR = timedelta(days=366)


def visitor(world: World, copy: Path) -> Visitor:
    """A site that has the copy and no link."""
    root = (world.folder / "pinned.json").read_bytes()
    return Visitor(world.folder / "site", FolderSource(copy), root, longest=YEAR)


def test_a_site_without_a_link_takes_the_release_from_a_copy(world: World, tmp_path: Path) -> None:
    done = carry(FolderStore(world.store), tmp_path / "copy", 300, world.online, rings=["first"])
    assert done.releases == (world.releases[1],)
    assert done.until - datetime.now(UTC) > timedelta(days=299)
    site = visitor(world, tmp_path / "copy")
    site.visit()
    assigned = site.assignment("here", "first")
    assert assigned == Assignment("first", world.releases[1], 0)
    index = site.index(assigned)
    folder = Download(FolderSource(tmp_path / "copy"), tmp_path / "arriving").bring(index)
    assert verify_release(folder, world.key_pair.public, expect=index.release)
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"catalogue", "releases"}


def test_a_copy_has_what_is_asked_for_and_no_more(world: World, tmp_path: Path) -> None:
    keeper = world.keeper()
    keeper.assign(site_target("here"), Assignment("here", world.releases[0], 0), world.online)
    keeper.assign(ring_target("second"), Assignment("second", world.releases[2], 0), world.online)
    store = FolderStore(world.store)
    cases: list[tuple[list[str], list[str], set[int]]] = [
        ([], ["here"], {1}),
        (["first"], ["here"], {1, 2}),
        ([], [], {1, 2, 3}),
    ]
    for rings, sites, expected in cases:
        folder = tmp_path / str(len(expected))
        done = carry(store, folder, 30, world.online, rings=rings, sites=sites)
        assert {*done.releases} == {world.releases[number - 1] for number in expected}
        assert len([*folder.glob("releases/*/*")]) == len(expected)
    with pytest.raises(InputError, match="third is assigned nothing; assign it a release first"):
        carry(store, tmp_path / "none", 30, world.online, rings=["third"])
    with pytest.raises(InputError, match="is not empty; name a new folder"):
        carry(store, tmp_path / "1", 30, world.online)


def test_a_later_copy_follows_an_earlier_one_and_a_link_follows_both(world: World, tmp_path: Path) -> None:
    store = FolderStore(world.store)
    carry(store, tmp_path / "one", 300, world.online)
    site = visitor(world, tmp_path / "one")
    site.visit()
    world.assign("first", 3)
    carry(store, tmp_path / "two", 300, world.online)
    site.source = FolderSource(tmp_path / "two")
    site.visit()
    assert site.assignment("here", "first") == Assignment("first", world.releases[2], 0)
    world.assign("first", 1)
    linked = world.visitor()
    linked.visit()
    assert linked.assignment("here", "first") == Assignment("first", world.releases[0], 0)


def test_the_command_says_until_when_the_copy_is_believed(world: World, tmp_path: Path) -> None:
    keys = ["--store", str(world.store), "--online-key", str(world.folder / "keys" / "online.pem"), "--json"]
    done = CliRunner().invoke(command, ["carry", str(tmp_path / "copy"), "--days", "9000", *keys])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    left = datetime.fromisoformat(told["until"]) - datetime.now(UTC)
    # The root ends before, and only its offline keys prolong it.
    assert timedelta(days=363) < left < timedelta(days=366)
    assert told["releases"] == [world.releases[1]]


def test_show_checks_that_the_timestamp_has_half_of_its_life_left(world: World) -> None:
    def shown(*options: str) -> tuple[int, str]:
        where = [str(world.store), "--root", str(world.folder / "pinned.json"), "--json", *options]
        done = CliRunner().invoke(command, ["show", *where])
        return done.exit_code, str(done.exception)

    assert shown("--check")[0] == 0
    soon = (datetime.now(UTC) + timedelta(hours=11)).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.edit("timestamp", lambda signed: signed.update(expires=soon), world.online)
    assert shown()[0] == 0
    code, said = shown("--check")
    assert code == 1
    assert "the timestamp is good for 11.0 h only; run `scenario-model catalogue refresh`" in said
