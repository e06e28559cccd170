"""A site takes nothing from a catalogue that somebody tampered with, and says what was wrong."""

from __future__ import annotations

import os
import re
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from scenario_model.catalogue.documents import Assignment, site_target
from scenario_model.catalogue.download import Download
from scenario_model.catalogue.sources import FolderSource
from scenario_model.catalogue.visitor import LONGEST
from scenario_model.errors import Refused, ScenarioModelError, TemporaryError
from scenario_model.release.names import ReleaseId
from tests.model.catalogue import attack_table
from tests.model.catalogue.attack_list import ATTACKS
from tests.model.catalogue.attacks import Attack, taken
from tests.model.catalogue.channel_attacks import BARE, promote, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.catalogue.world import World


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_nothing_is_taken_and_the_fault_is_named(world: World, attack: Attack) -> None:
    assert said(world, attack)


def said(world: World, attack: Attack) -> str:
    """What the site said: the part that is named in the table."""
    longest = timedelta(days=366) if attack.carried else LONGEST
    if not attack.fresh:
        world.visitor(longest=longest).visit()
    attack.do(world)
    with pytest.raises(ScenarioModelError, match=attack.refused) as error:
        taken(world.visitor(at_least=attack.at_least, longest=longest))
    found = re.search(attack.refused, str(error.value))
    return found[0] if found else ""


def said_bare(world: World, name: str) -> str:
    """What the reader of a channel said; empty if it took what it was given."""
    attack, expected = BARE[name]
    for number in (1, 2):
        promote(world, number)
        if number == 1:
            shutil.copytree(world.store / "channels", world.folder / "earlier" / "channels")
    attack(world)
    if not expected:
        served(world)
        return ""
    with pytest.raises(ScenarioModelError, match=expected):
        served(world)
    return expected


def test_there_are_at_least_thirty_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 30
    assert {attack.name for attack in ATTACKS} >= BARE.keys()


@pytest.mark.slow
def test_the_table_in_the_documents_is_what_happens(pristine_world: World, tmp_path: Path) -> None:
    def fresh(name: str) -> World:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        shutil.copytree(pristine_world.folder, tmp_path / name)
        return pristine_world.at(tmp_path / name)

    rows = [
        attack_table.Row(
            attack.name,
            said(fresh("site"), attack),
            said_bare(fresh("bare"), attack.name) if attack.name in BARE else None,
        )
        for attack in ATTACKS
    ]
    new = attack_table.text(rows)
    if os.environ.get("WRITE_ATTACKS"):
        attack_table.FILE.write_text(new, encoding="utf-8")
    assert attack_table.FILE.read_text(encoding="utf-8") == new, "run it with WRITE_ATTACKS=1"


def test_a_stolen_timestamp_key_that_counted_far_ahead_is_forgiven_once_it_is_replaced(world: World) -> None:
    visitor = world.visitor()
    visitor.visit()
    world.edit("timestamp", lambda signed: signed.update(version=2**31), world.online)
    visitor.visit()
    for name in ("online.pem", "online.pub"):
        (world.folder / "keys" / name).unlink()
    former = world.with_keys().roots[:2]
    world.keeper().rotate(former, world.roots, 2, world.release_key, world.online)
    world.edit("timestamp", lambda signed: signed.update(version=5), world.online)
    found = taken(visitor)
    assert found
    assert found.number == 2


CONTENT_ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (
        lambda path: path.write_bytes(b"x" * path.stat().st_size),
        "content differs from what was signed",
    ),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "is longer than the [0-9]+ bytes"),
    "endless": (lambda path: path.write_bytes(b"x" * 10_000_000), "is longer than the [0-9]+ bytes"),
    "shorter": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "ended after [0-9]+ of [0-9]+ bytes"),
    "empty": (lambda path: path.write_bytes(b""), "ended after 0 of [0-9]+ bytes"),
    "missing": (lambda path: path.unlink(), "is listed, but the catalogue does not have it"),
}


@pytest.mark.parametrize("kind", CONTENT_ATTACKS)
def test_files_that_are_not_those_that_were_signed_are_not_taken(
    world: World, tmp_path: Path, kind: str
) -> None:
    do, refused = CONTENT_ATTACKS[kind]
    index = taken(world.visitor())
    assert index
    path = world.store / ReleaseId.parse(index.release).key / "tokenizer.json"
    path.chmod(0o644)
    do(path)
    download = Download(FolderSource(world.store), tmp_path / "arriving", attempts=1)
    with pytest.raises((Refused, TemporaryError), match=refused):
        download.bring(index)
    arrived = tmp_path / "arriving"
    assert sum(file.stat().st_size for file in arrived.rglob("*") if file.is_file()) <= index.size


def test_an_assignment_for_one_site_alone_is_for_no_other(world: World) -> None:
    keeper = world.keeper()
    keeper.assign(site_target("there"), Assignment("there", world.releases[0], 0), world.online)
    keeper.refresh(world.online)
    found = taken(world.visitor())
    assert found
    assert found.number == 2
