"""A catalogue led by its keepers: what sites see of it, and what each key may not do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from scenario_model.catalogue.documents import Assignment, ring_target, site_target
from scenario_model.catalogue.sources import FolderSource
from scenario_model.errors import InputError, Refused
from scenario_model.release.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.model.catalogue.world import World


class Counted:
    """A folder that notes what is read."""

    def __init__(self, root: Path) -> None:
        self._inner, self.asked = FolderSource(root), list[str]()

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        self.asked.append(path)
        return self._inner.read(path, start)


def test_a_ring_sees_the_release_it_was_led_to_with_all_of_its_files(world: World) -> None:
    visitor = world.visitor()
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    assert assigned == Assignment("first", world.releases[1], 0)
    index = visitor.index(assigned)
    assert (index.number, index.release) == (2, world.releases[1])
    assert {"release.sig", "release.json", "model.safetensors", "extra/notes.txt"} <= index.files.keys()
    stored = FolderStore(world.store).fetch(index.release)
    assert index.size == sum(path.stat().st_size for path in stored.rglob("*") if path.is_file())


def test_nobody_is_led_anywhere_by_default(world: World) -> None:
    visitor = world.visitor()
    visitor.visit()
    assert visitor.assignment("here", "second") is None


def test_a_site_may_have_an_assignment_of_its_own(world: World) -> None:
    keeper = world.keeper()
    keeper.assign(site_target("here"), Assignment("here", world.releases[0], 0), world.online)
    keeper.refresh(world.online)
    visitor = world.visitor()
    visitor.visit()
    assert visitor.assignment("here", "first") == Assignment("here", world.releases[0], 0)
    assert visitor.assignment("there", "first") == Assignment("first", world.releases[1], 0)


def test_a_visit_of_an_unchanged_catalogue_is_two_small_requests(world: World) -> None:
    visitor = world.visitor()
    visitor.visit()
    source = Counted(world.store)
    visitor.source = source
    visitor.visit()
    assert source.asked == ["catalogue/metadata/2.root.json", "catalogue/metadata/timestamp.json"]
    assert world.newest("timestamp").stat().st_size < 1024


def test_what_has_happened_already_is_not_done_again(world: World) -> None:
    before = sorted(path.name for path in world.metadata.iterdir())
    keeper = world.keeper()
    assert not keeper.assign(ring_target("first"), Assignment("first", world.releases[1], 0), world.online)
    assert not keeper.refresh(world.online)
    assert sorted(path.name for path in world.metadata.iterdir()) == before


def test_what_ages_is_signed_again_at_half_of_its_life(world: World) -> None:
    for days, roles in ((0.6, {"timestamp"}), (16, {"timestamp", "snapshot", "rings"})):
        shutil.rmtree(world.folder / "then", ignore_errors=True)
        aged = world.at(world.folder / "then")
        shutil.copytree(world.store, aged.store)
        before = {
            role: aged.newest(role).read_bytes() for role in ("timestamp", "snapshot", "rings", "releases")
        }
        assert aged.keeper(days_ago=-days).refresh(world.online)
        assert {
            role for role, content in before.items() if aged.newest(role).read_bytes() != content
        } == roles


def test_a_release_that_is_not_listed_cannot_be_assigned(world: World) -> None:
    unlisted = world.releases[0].replace("sha256:", "sha256:0")[:-1]
    with pytest.raises(Refused, match="is not in the catalogue; list it first"):
        world.keeper().assign(ring_target("first"), Assignment("first", unlisted, 0), world.online)


def test_a_withdrawn_release_can_no_longer_be_assigned_nor_taken(world: World) -> None:
    assert world.keeper().withdraw(world.releases[1], world.release_key)
    world.keeper().refresh(world.online)
    visitor = world.visitor()
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    assert assigned
    with pytest.raises(Refused, match="is not listed by the release key: unsigned, or withdrawn"):
        visitor.index(assigned)
    assert not world.keeper().withdraw(world.releases[1], world.release_key)


def test_each_key_signs_its_own_role_alone(world: World) -> None:
    keeper = world.keeper()
    with pytest.raises(Refused, match="this key may not sign rings"):
        keeper.assign(ring_target("first"), Assignment("first", world.releases[0], 0), world.release_key)
    with pytest.raises(Refused, match="this key may not sign releases"):
        keeper.withdraw(world.releases[0], world.online)


def test_two_keepers_at_once_do_not_lose_each_others_changes(world: World) -> None:
    one, other = world.keeper(), world.keeper()
    content, _ = one.shelf.timestamp()
    other.assign(ring_target("second"), Assignment("second", world.releases[0], 0), world.online)
    other.refresh(world.online)
    _, now = one.shelf.timestamp()
    assert now
    with pytest.raises(Refused, match="was changed at the same time by somebody else; run it again"):
        one.shelf.swap_timestamp(now, content)
    one.refresh(world.online)
    visitor = world.visitor()
    visitor.visit()
    assert visitor.assignment("here", "second")


def test_keys_rotate_and_sites_follow_without_a_visit(world: World) -> None:
    visitor = world.visitor()
    visitor.visit()
    former, former_online = world.roots[:2], world.online
    for path in (world.folder / "keys").iterdir():
        path.unlink()
    new = world.with_keys()
    with pytest.raises(
        InputError, match="the former root keys given are too few: root was signed by 1/2 keys"
    ):
        new.keeper().rotate(former[:1], new.roots, 2, new.release_key, new.online)
    new.keeper().rotate(former, new.roots, 2, new.release_key, new.online)
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    assert assigned == Assignment("first", world.releases[1], 0)
    assert visitor.index(assigned).number == 2
    with pytest.raises(Refused, match="this key may not sign rings"):
        new.keeper().assign(ring_target("first"), Assignment("first", world.releases[0], 0), former_online)
    new.assign("first", 3)
    visitor.visit()
    assert visitor.assignment("here", "first") == Assignment("first", world.releases[2], 0)


def test_a_catalogue_is_created_once_and_with_a_threshold_that_can_be_met(world: World) -> None:
    public = [world.online.public_key]
    with pytest.raises(Refused, match="there is a catalogue already"):
        world.keeper().create(world.roots, 2, public, public)
    empty = world.at(world.folder / "empty")
    shutil.copytree(world.folder / "keys", empty.folder / "keys")
    with pytest.raises(InputError, match="4 of 3 root keys cannot sign"):
        empty.keeper().create(world.roots, 4, public, public)
    with pytest.raises(InputError, match="has no catalogue"):
        empty.keeper().refresh(world.online)
