"""What somebody may do to a catalogue, with which keys, and what a site says to it.

The site has visited the catalogue before, unless a case says otherwise. After each attack it still has what it had.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scenario_model.catalogue.carry import carry
from scenario_model.catalogue.documents import Assignment, File, ReleaseIndex, ring_target
from scenario_model.catalogue.sources import FolderSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.release.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.catalogue.world import World

ROLES = ("timestamp", "snapshot", "targets", "releases", "rings")
YEARS_AGO = "2020-01-01T00:00:00Z"


@dataclass(frozen=True)
class Attack:
    """`refused`: what the site says. `fresh`: the site has not visited before. `carried`: it has no link."""

    name: str
    do: Callable[[World], object]
    refused: str
    fresh: bool = False
    at_least: int = 0
    carried: bool = False


def replay_all(world: World) -> None:
    shutil.rmtree(world.store)
    shutil.copytree(world.folder / "earlier", world.store)


def replay_file(role: str) -> Callable[[World], None]:
    """An older version of one role under the newest one's number."""

    def do(world: World) -> None:
        newest = world.newest(role)
        number = int(newest.name.partition(".")[0]) if role != "timestamp" else 0
        older = (
            world.folder / "earlier" / "catalogue" / "metadata" / newest.name
            if role == "timestamp"
            else world.metadata / f"{number - 1}.{role}.json"
        )
        world.overwrite(newest, older.read_bytes())

    return do


def signers(world: World, role: str) -> tuple[Any, ...]:
    return {
        "timestamp": (world.online,),
        "snapshot": (world.online,),
        "rings": (world.online,),
        "releases": (world.release_key,),
        "targets": tuple(world.roots[:2]),
    }[role]


def expired(role: str) -> Callable[[World], None]:
    return lambda world: world.edit(
        role, lambda signed: signed.update(expires=YEARS_AGO), *signers(world, role)
    )


def unsigned(role: str) -> Callable[[World], None]:
    return lambda world: world.edit(role, lambda signed: signed.update(x=1))


def by_stranger(role: str) -> Callable[[World], None]:
    return lambda world: world.edit(role, lambda signed: signed.update(x=1), world.stranger())


def cut_short(role: str) -> Callable[[World], None]:
    def do(world: World) -> None:
        content = world.newest(role).read_bytes()
        world.overwrite(world.newest(role), content[: len(content) // 2])

    return do


def endless(role: str) -> Callable[[World], None]:
    return lambda world: world.overwrite(
        world.newest(role), world.newest(role).read_bytes() + b" " * 6_000_000
    )


def rubbish(role: str) -> Callable[[World], None]:
    return lambda world: world.overwrite(world.newest(role), b"<html>Sign in to the network</html>")


def edited(role: str) -> Callable[[World], None]:
    """Changed after it was signed."""

    def do(world: World) -> None:
        path = world.newest(role)
        content = json.loads(path.read_text())
        content["signed"]["version"] += 1
        world.overwrite(path, json.dumps(content).encode())

    return do


def root_by(*numbers: int, version: int = 2) -> Callable[[World], None]:
    """A new root that lets a stranger sign all, signed by the stranger and some of the root keys."""

    def do(world: World) -> None:
        stranger = world.stranger()
        content = json.loads((world.metadata / "1.root.json").read_text())
        world.overwrite(world.metadata / "2.root.json", json.dumps(content).encode())

        def change(signed: dict[str, Any]) -> None:
            signed["version"] = version
            signed["keys"] = {stranger.public_key.keyid: stranger.public_key.to_dict()}
            for role in signed["roles"].values():
                role.update(keyids=[stranger.public_key.keyid], threshold=1)

        world.edit("root", change, stranger, *(world.roots[number - 1] for number in numbers))

    return do


def lowered_threshold(world: World) -> None:
    content = json.loads((world.metadata / "1.root.json").read_text())
    world.overwrite(world.metadata / "2.root.json", json.dumps(content).encode())

    def change(signed: dict[str, Any]) -> None:
        signed["version"] = 2
        signed["roles"]["root"]["threshold"] = 1

    world.edit("root", change, world.roots[0])


def thief_assigns(release: Callable[[World], str], floor: int = 0) -> Callable[[World], None]:
    """Who stole the online key signs what no keeper would: `Keeper.assign` refuses it."""

    def do(world: World) -> None:
        content = Assignment("first", release(world), floor).encoded()
        keeper = world.keeper()
        entry = keeper._target(ring_target("first"), content)
        keeper._change(
            "rings", world.online, lambda rings: bool(rings.targets.update({entry.path: entry}) or True)
        )
        keeper.refresh(world.online)

    return do


def thief_lists(world: World) -> None:
    """Who stole the online key lists a release of their own."""
    other = world.releases[0].replace("sha256:", "sha256:0")[:-1]

    def change(signed: dict[str, Any]) -> None:
        signed["version"] += 1
        some = dict(next(iter(signed["targets"].values())))
        signed["targets"][f"releases/assistant/{other.partition(':')[2]}.json"] = some

    newest = world.newest("releases")
    number = int(newest.name.partition(".")[0])
    world.overwrite(newest.with_name(f"{number + 1}.releases.json"), newest.read_bytes())
    world.edit("releases", change, world.online)
    snapshot = world.newest("snapshot")
    later = snapshot.with_name(f"{int(snapshot.name.partition('.')[0]) + 1}.snapshot.json")
    world.overwrite(later, snapshot.read_bytes())

    def shown(signed: dict[str, Any]) -> None:
        signed["version"] += 1
        signed["meta"]["releases.json"]["version"] = number + 1

    world.edit("snapshot", shown, world.online)
    world.edit("timestamp", lambda signed: _bump(signed), world.online)


def _bump(signed: dict[str, Any]) -> None:
    signed["version"] += 1
    signed["meta"]["snapshot.json"]["version"] += 1


def withdrawn(world: World) -> None:
    world.keeper().withdraw(world.releases[1], world.release_key)
    world.keeper().refresh(world.online)


def floor_of_three(world: World) -> None:
    """The keepers raise the floor, the site sees it, and a thief lowers it again."""
    world.assign("first", 3, floor=3)
    visitor = world.visitor()
    visitor.visit()
    assert visitor.assignment("here", "first")
    world.assign("first", 1, floor=1)


def assignment_of(other: str) -> Callable[[World], None]:
    """What is signed for another ring or site is put where this one looks."""

    def do(world: World) -> None:
        keeper = world.keeper()
        keeper.assign(ring_target("first"), Assignment(other, world.releases[0], 0), world.online)
        keeper.refresh(world.online)

    return do


def document_changed(world: World) -> None:
    for path in (world.store / "catalogue" / "targets" / "rings").iterdir():
        world.overwrite(path, path.read_bytes().replace(b'"floor":0', b'"floor":9'))


def listed(index: Callable[[ReleaseIndex], bytes]) -> Callable[[World], None]:
    """The release key itself signs an index that no release has."""

    def do(world: World) -> None:
        visitor = world.visitor("keeper")
        visitor.visit()
        assigned = visitor.assignment("here", "first")
        assert assigned
        content = index(visitor.index(assigned))
        keeper = world.keeper()
        path = f"releases/assistant/{assigned.release.partition(':')[2]}.json"
        entry = keeper._target(path, content)
        keeper._change(
            "releases", world.release_key, lambda it: bool(it.targets.update({path: entry}) or True)
        )
        keeper.refresh(world.online)

    return do


def with_file(path: str) -> Callable[[ReleaseIndex], bytes]:
    return lambda it: ReleaseIndex(it.release, it.number, {**it.files, path: File(1, "0" * 64)}).encoded()


def taken(visitor: Any) -> ReleaseIndex | None:
    """What the site would serve after a visit."""
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    return visitor.index(assigned) if assigned else None


def another_world(world: World) -> None:
    index = taken(world.visitor("keeper"))
    assert index
    other = type(world).created(world.folder / "other", world.key_pair)
    other.keeper().list_release(index, other.release_key)
    other.keeper().refresh(other.online)
    shutil.rmtree(world.metadata)
    shutil.copytree(other.metadata, world.metadata)


def carried(world: World, days: float = 365, key: Any = None, **options: Any) -> Path:
    """A copy of the catalogue that lives long, in a new folder."""
    folder = world.folder / "carried"
    carry(FolderStore(world.store), folder, days, key or world.online, **options)
    return folder


def shown(world: World, folder: Path) -> None:
    """The site finds this copy where it looks for its catalogue."""
    shutil.rmtree(world.store / "catalogue")
    shutil.copytree(folder / "catalogue", world.store / "catalogue")


def had_no_link(world: World) -> None:
    """The site believed a carried copy while it had no link; then somebody shows it nothing newer."""
    root = (world.folder / "pinned.json").read_bytes()
    source = FolderSource(carried(world))
    Visitor(world.folder / "site", source, root, longest=timedelta(days=366)).visit()


def older_copy(world: World) -> None:
    earlier = replace(world, folder=world.folder / "then", releases=[])
    shutil.copytree(world.folder / "earlier", earlier.store)
    shutil.copytree(world.folder / "keys", earlier.folder / "keys")
    shown(world, carried(earlier))


def long_ago() -> datetime:
    return datetime(2020, 1, 1, tzinfo=UTC)
