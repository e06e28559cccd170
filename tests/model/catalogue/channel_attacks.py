"""The attacks of `attacks` on a bare channel (`release.channel`), for those that it has: what its reader then does."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from scenario_model.release import channel
from scenario_model.release.names import ReleaseId
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys
from tests.model.catalogue.attacks import replay_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.model.catalogue.world import World

NAME, CHANNEL = "assistant", "stable"
AT, BY = "2026-01-01T00:00:00+00:00", "somebody@here"


def served(world: World) -> str:
    """The release that a site would serve that follows the channel. Raises what its reader refuses."""
    store = FolderStore(world.store)
    release = channel.current(store, NAME, CHANNEL, world.key_pair.public)
    verify_release(store.fetch(release), world.key_pair.public, expect=release)
    return release


def entries(world: World) -> list[Path]:
    """The channel's files, the oldest first."""
    return sorted((world.store / "channels" / NAME / CHANNEL).iterdir())


def changed(change: Callable[[bytes], bytes]) -> Callable[[World], None]:
    """The newest entry is changed after it was signed."""
    return lambda world: world.overwrite(entries(world)[-1], change(entries(world)[-1].read_bytes()))


def unsigned(content: bytes) -> bytes:
    return (
        json.dumps(json.loads(content) | {"signature": ""}, sort_keys=True, separators=(",", ":")).encode()
        + b"\n"
    )


def by_stranger(world: World) -> None:
    entries(world)[-1].unlink()
    store, stranger = FolderStore(world.store), world.folder / "keys" / "stranger.pem"
    world.stranger()
    for path in entries(world):
        path.unlink()
    for release in world.releases[:2]:
        channel.promote(
            store, release, CHANNEL, keys.load_private(stranger), at=AT, by=BY, release_key=_public(world)
        )


def older_in_place(world: World) -> None:
    world.overwrite(entries(world)[-1], entries(world)[0].read_bytes())


def newest_removed(world: World) -> None:
    entries(world)[-1].unlink()


def of_another_channel(world: World) -> None:
    promote(world, 1, "other")
    (entry,) = (world.store / "channels" / NAME / "other").iterdir()
    shutil.rmtree(entries(world)[0].parent)
    shutil.copytree(entry.parent, world.store / "channels" / NAME / CHANNEL)


def promote(world: World, number: int, name: str = CHANNEL) -> None:
    """Whoever holds the one key lets the channel point at a release, older or not."""
    store, key = FolderStore(world.store), keys.load_private(world.key_pair.private)
    channel.promote(store, world.releases[number - 1], name, key, at=AT, by=BY)


def more_in_the_release(world: World) -> None:
    (world.store / ReleaseId.parse(served(world)).key / "more.json").write_text("{}")


def _public(world: World) -> ec.EllipticCurvePublicKey:
    return keys.load_public(world.key_pair.public)


SIGNATURE, FORMAT = "invalid signature: changed, or signed by another key", "not an entry in this version"
TAKEN = ""
BARE: dict[str, tuple[Callable[[World], object], str]] = {
    "all of it replaced by what it once was": (replay_all, TAKEN),
    "an older timestamp": (newest_removed, TAKEN),
    "an older rings in place of the newest": (older_in_place, "is an entry of another history or position"),
    "frozen: a timestamp that is never renewed": (lambda _: None, TAKEN),
    "rings without signatures": (changed(unsigned), SIGNATURE),
    "rings signed by a stranger": (by_stranger, SIGNATURE),
    "rings edited after it was signed": (changed(lambda it: it.replace(b"2026", b"2027")), SIGNATURE),
    "rings cut short": (changed(lambda it: it[: len(it) // 2]), FORMAT),
    "endless rings": (changed(lambda it: it + b" " * 6_000_000), "is larger than 4194304 bytes"),
    "a login page for rings": (changed(lambda _: b"<html>Sign in to the network</html>"), FORMAT),
    "another catalogue with other root keys": (by_stranger, SIGNATURE),
    "a fresh site is shown an older catalogue": (replay_all, TAKEN),
    "online keys: a release below the floor": (lambda world: promote(world, 1), TAKEN),
    "another ring's assignment": (of_another_channel, "is an entry of another history or position"),
    "release key: a file that the release does not have": (more_in_the_release, "more.json"),
}
