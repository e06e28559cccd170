"""What TUF asks of a client (specification 1.0.34, section 5), of a site: cases that the table of attacks lacks.

theupdateframework/tuf-conformance asks for the same of any client. It is no package; these are cases of our own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from securesystemslib.formats import encode_canonical

from scenario_model.catalogue.sources import FolderSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.errors import Refused, ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scenario_model.catalogue.signers import CatalogueSigner
    from tests.model.catalogue.world import World

    Change = Callable[[dict[str, Any]], object]


class Noting(FolderSource):
    """A copy of a store that notes what is asked of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        self.asked.append(path.rpartition("/")[2])
        return super().read(path, start)


def signers(world: World, role: str) -> tuple[CatalogueSigner, ...]:
    """Those who may sign a role."""
    roots = tuple(world.roots[:2])
    return {"releases": (world.release_key,), "targets": roots, "root": roots}.get(role, (world.online,))


def number_of(world: World, role: str) -> int:
    return int(world.newest(role).name.partition(".")[0])


def sign(path: Path, change: Change, *keys: CatalogueSigner) -> None:
    """Change a file and sign it, whatever it says then: TUF's library would write no such thing."""
    content = json.loads(path.read_text())
    change(content["signed"])
    payload = str(encode_canonical(content["signed"])).encode()
    content["signatures"] = [each.sign(payload).to_dict() for each in keys]
    path.unlink()
    path.write_text(json.dumps(content))


def signed_next(world: World, role: str, change: Change = lambda _: None, number: int = 0) -> int:
    """The next version of a role, changed and rightly signed; its number."""
    newest = world.newest(role)
    following = number or number_of(world, role) + 1
    path = newest.with_name(f"{following}.{role}.json")
    world.overwrite(path, newest.read_bytes())
    sign(path, lambda signed: (signed.update(version=following), change(signed)), *signers(world, role))
    return following


def shown(world: World, role: str, number: int, **more: Any) -> None:
    """Let snapshot and timestamp name a role's version, as who keeps the catalogue does."""
    if role != "snapshot":
        note = {"version": number, **more}
        number, more = (
            signed_next(world, "snapshot", lambda it: it["meta"].update({f"{role}.json": note})),
            {},
        )
    timestamp(world, lambda it: it["meta"].update({"snapshot.json": {"version": number, **more}}))


def timestamp(world: World, change: Change) -> None:
    """The next timestamp, changed and rightly signed."""
    path = world.newest("timestamp")
    sign(path, lambda it: (it.update(version=it["version"] + 1), change(it)), world.online)


def taken(visitor: Visitor) -> int:
    """The number of the release that a site would take."""
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    assert assigned
    return visitor.index(assigned).number


def visited(world: World) -> Visitor:
    visitor = world.visitor()
    assert taken(visitor) == 2
    return visitor


def cut_root(world: World) -> bytes:
    return (world.folder / "pinned.json").read_bytes()[:200]


def half_signed_root(world: World) -> bytes:
    content = json.loads((world.folder / "pinned.json").read_text())
    content["signatures"] = content["signatures"][:1]
    return json.dumps(content).encode()


def edited_root(world: World) -> bytes:
    content = json.loads((world.folder / "pinned.json").read_text())
    content["signed"]["roles"]["root"]["threshold"] = 1
    return json.dumps(content).encode()


@pytest.mark.parametrize("root", [cut_root, half_signed_root, edited_root])
def test_a_first_root_that_is_not_one_is_refused_and_nothing_is_asked_for(
    world: World, root: Callable[[World], bytes]
) -> None:
    source = Noting(world.store)
    with pytest.raises(Refused, match="the catalogue is not"):
        Visitor(world.folder / "site", source, root(world)).visit()
    assert source.asked == []


@pytest.mark.parametrize("role", ["root", "snapshot", "targets", "releases", "rings"])
def test_a_file_with_another_number_inside_is_refused(world: World, role: str) -> None:
    visited(world)
    following = signed_next(world, role)
    if role != "root":
        shown(world, role, following)
    world.edit(role, lambda it: it.update(version=following + 1), *signers(world, role))
    with pytest.raises(Refused, match=r"rollback or mix of versions|Expected root version"):
        taken(world.visitor())


@pytest.mark.parametrize(
    ("role", "other"), [("timestamp", "snapshot"), ("snapshot", "timestamp"), ("rings", "snapshot")]
)
def test_what_the_right_key_signed_as_something_else_is_refused(world: World, role: str, other: str) -> None:
    """The online key signs all three."""
    world.overwrite(world.newest(role), world.newest(other).read_bytes())
    with pytest.raises(Refused, match=r"the catalogue is (not valid|frozen)"):
        taken(world.visitor())


@pytest.mark.parametrize("role", ["snapshot", "targets", "releases", "rings"])
def test_a_digest_that_the_signed_list_names_is_compared(world: World, role: str) -> None:
    visited(world)
    shown(world, role, signed_next(world, role), hashes={"sha256": "0" * 64})
    with pytest.raises(Refused, match="length or digest differs from what was signed"):
        taken(world.visitor())


@pytest.mark.parametrize("role", ["snapshot", "targets", "releases", "rings"])
def test_a_length_that_the_signed_list_names_is_a_limit(world: World, role: str) -> None:
    visited(world)
    shown(world, role, signed_next(world, role), length=10)
    with pytest.raises(Refused, match="longer than what was signed"):
        taken(world.visitor())


@pytest.mark.parametrize("version", [None, 0, -1, "2"])
def test_a_list_without_a_usable_version_is_refused(world: World, version: object) -> None:
    def change(signed: dict[str, Any]) -> None:
        signed["meta"]["targets.json"] = {} if version is None else {"version": version}

    visited(world)
    shown(world, "snapshot", signed_next(world, "snapshot", change))
    with pytest.raises(Refused, match="the catalogue is"):
        taken(world.visitor())


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "releases", "rings"])
def test_a_file_that_is_missing_is_an_error_of_one_line(world: World, role: str) -> None:
    world.newest(role).unlink()
    with pytest.raises(ScenarioModelError) as told:
        taken(world.visitor())
    assert "\n" not in str(told.value)


def test_a_threshold_that_the_keys_cannot_meet_lets_nothing_in(world: World) -> None:
    visited(world)
    signed_next(world, "root", lambda it: it["roles"]["snapshot"].update(threshold=2))
    with pytest.raises(Refused, match="not signed by enough of the right keys"):
        taken(world.visitor())


def test_a_signature_that_is_there_twice_counts_for_nothing(world: World) -> None:
    path = world.newest("targets")
    content = json.loads(path.read_text())
    content["signatures"] = [content["signatures"][0]] * 2
    world.overwrite(path, json.dumps(content).encode())
    with pytest.raises(Refused, match="the catalogue is not"):
        taken(world.visitor())


def test_a_key_that_is_named_twice_counts_once(world: World) -> None:
    def change(signed: dict[str, Any]) -> None:
        first = signed["roles"]["targets"]["keyids"][0]
        signed["roles"]["targets"].update(keyids=[first] * 2, threshold=2)

    signed_next(world, "root", change)
    sign(world.newest("targets"), lambda _: None, world.roots[0])
    with pytest.raises(Refused, match="the catalogue is not"):
        taken(world.visitor())


def test_a_role_that_disappears_from_the_list_is_a_rollback(world: World) -> None:
    visited(world)
    shown(world, "snapshot", signed_next(world, "snapshot", lambda it: it["meta"].pop("releases.json")))
    with pytest.raises(Refused, match=r"rollback or mix of versions|not valid"):
        taken(world.visitor())


def test_a_role_that_the_list_never_named_is_not_asked_for(world: World) -> None:
    shown(world, "snapshot", signed_next(world, "snapshot", lambda it: it["meta"].pop("releases.json")))
    source = Noting(world.store)
    with pytest.raises(Refused):
        taken(Visitor(world.folder / "site", source, (world.folder / "pinned.json").read_bytes()))
    assert [name for name in source.asked if name.endswith("releases.json")] == []


@pytest.mark.parametrize("hashes", [{}, {"rot13": "0" * 64}, {"sha256": ""}])
def test_a_document_without_a_digest_that_can_be_checked_is_refused(
    world: World, hashes: dict[str, str]
) -> None:
    def change(signed: dict[str, Any]) -> None:
        signed["targets"]["rings/first.json"]["hashes"] = hashes

    shown(world, "rings", signed_next(world, "rings", change))
    with pytest.raises(ScenarioModelError):
        taken(world.visitor())


@pytest.mark.parametrize("name", ["?", "#", "/role", "../role", "a\nb", "%2e%2e/role"])
def test_a_role_whose_name_is_no_file_name_is_not_asked_for(world: World, name: str) -> None:
    """Here a site is stricter than the conformance suite, which wants it asked for with its name quoted."""

    def change(signed: dict[str, Any]) -> None:
        role = dict(signed["delegations"]["roles"][0], name=name, paths=["rings/*"], terminating=False)
        signed["delegations"]["roles"].insert(0, role)

    shown(world, "targets", signed_next(world, "targets", change))
    shown(world, name, 1)
    source = Noting(world.store)
    with pytest.raises(Refused, match=r"\.json: is not a path of a catalogue"):
        taken(Visitor(world.folder / "site", source, (world.folder / "pinned.json").read_bytes()))
    kept = {path.name for path in (world.folder / "site").iterdir()}
    roles = {f"{role}.json" for role in ("root", "timestamp", "snapshot", "targets", "rings")}
    assert kept == roles | {"root_history", "targets"}


def test_delegations_without_end_come_to_an_end(world: World) -> None:
    def change(signed: dict[str, Any]) -> None:
        first = signed["delegations"]["roles"][0]
        several = [dict(first, name=f"r{each}", paths=["rings/*"], terminating=False) for each in range(30)]
        signed["delegations"]["roles"] = several

    following = signed_next(world, "targets", change)
    for each in range(30):
        target = world.metadata / f"1.r{each}.json"
        content = json.loads(world.newest("releases").read_text())
        content["signed"].update(version=1, targets={})
        target.write_text(json.dumps(content))
        world.edit(f"r{each}", lambda _: None, world.release_key)
    notes = {f"r{each}.json": {"version": 1} for each in range(30)}
    note = {"targets.json": {"version": following}, **notes}
    shown(world, "snapshot", signed_next(world, "snapshot", lambda it: it["meta"].update(note)))
    source = Noting(world.store)
    visitor = Visitor(world.folder / "site", source, (world.folder / "pinned.json").read_bytes())
    visitor.visit()
    visitor.assignment("here", "first")
    assert len([name for name in source.asked if name.startswith("1.r") and "root" not in name]) <= 8
