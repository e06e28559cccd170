"""Makes a copy of a catalogue for sites without a link: what they need of it, signed for as long as they are to use it.

The copy has the store's own versions, with a timestamp, snapshot and list of rings that live longer. A site that has
a link does not believe a timestamp that lives so long (`Visitor`), so a copy that is stolen freezes none of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tuf.api.metadata import Metadata, TargetFile, Targets

from scenario_model.catalogue.documents import Assignment, release_target, ring_target, site_target
from scenario_model.catalogue.keeper import Keeper
from scenario_model.catalogue.shelf import METADATA, RELEASES, RINGS, TARGETS
from scenario_model.errors import InputError
from scenario_model.release.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from securesystemslib.signer import Signer

    from scenario_model.release.store import Store


@dataclass(frozen=True, slots=True)
class Carried:
    """A copy: the releases in it, and until when it is believed, because what nobody may sign longer ends then."""

    releases: tuple[str, ...]
    until: datetime


def carry(
    store: Store,
    folder: Path,
    days: float,
    key: Signer,
    *,
    rings: Sequence[str] = (),
    sites: Sequence[str] = (),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Carried:
    """Copy what these rings and sites need, all if none is named, into an empty folder.

    Raises InputError if the folder is not empty, or if a name is assigned nothing.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError("is not empty", where=str(folder), remedy="name a new folder")
    keeper = Keeper(store)
    keeper.refresh(key)
    aside = FolderStore(folder)
    wanted = {ring_target(ring): ring for ring in rings} | {site_target(site): site for site in sites}
    until = _metadata(keeper, aside, key, (now() + timedelta(days=days)).replace(microsecond=0))
    releases = _targets(keeper, aside, wanted)
    for release in releases:
        # What a release is, its own signature says; the site that takes it checks that, too.
        aside.upload(release, store.fetch(release))
    # Locks and leftovers are a store's, not a copy's.
    shutil.rmtree(folder / ".incoming", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    return Carried(tuple(releases), until)


def _metadata(keeper: Keeper, aside: FolderStore, key: Signer, end: datetime) -> datetime:
    """Copy the metadata, with a longer life for what the online key signs; returns the end of its shortest life."""
    shelf = keeper.shelf
    root = shelf.root()
    for number in range(1, root.signed.version + 1):
        name = f"{METADATA}/{number}.root.json"
        aside.create(name, shelf.store.read(name) or b"")
    ends = [end, root.signed.expires]
    for role in ("targets", RELEASES):
        found = keeper.role(role)
        name = f"{METADATA}/{found.signed.version}.{role}.json"
        aside.create(name, shelf.store.read(name) or b"")
        ends.append(found.signed.expires)
    snapshot = shelf.newest("snapshot", root.signed)
    _, timestamp = shelf.timestamp()
    if snapshot is None or timestamp is None:
        raise InputError("has no timestamp yet", remedy="`scenario-model catalogue refresh` signs one")
    for role, signed in ((RINGS, keeper.role(RINGS).signed), ("snapshot", snapshot.signed)):
        aside.create(f"{METADATA}/{signed.version}.{role}.json", _signed(signed, end, key))
    aside.create(f"{METADATA}/timestamp.json", _signed(timestamp.signed, end, key))
    return min(ends)


def _targets(keeper: Keeper, aside: FolderStore, wanted: dict[str, str]) -> list[str]:
    """Copy the assignments and the indexes of the releases that they name; returns those."""
    rings: Targets = keeper.role(RINGS).signed
    listed: Targets = keeper.role(RELEASES).signed
    if missing := wanted.keys() - rings.targets.keys():
        raise InputError(f"{wanted[min(missing)]} is assigned nothing", remedy="assign it a release first")
    releases = set[str]()
    for path, entry in rings.targets.items():
        if wanted and path not in wanted:
            continue
        name = path.partition("/")[2].removesuffix(".json")
        content = _copied(keeper, aside, entry)
        releases.add(Assignment.decoded(content, name).release)
    for release in releases:
        if release_target(release) not in listed.targets:
            raise InputError(f"{release} was withdrawn", remedy="assign another one first")
        _copied(keeper, aside, listed.targets[release_target(release)])
    return sorted(releases)


def _copied(keeper: Keeper, aside: FolderStore, entry: TargetFile) -> bytes:
    name = f"{TARGETS}/{entry.get_prefixed_paths()[0]}"
    content = keeper.shelf.store.read(name) or b""
    entry.verify_length_and_hashes(content)
    aside.create(name, content)
    return content


def _signed(signed: Any, end: datetime, key: Signer) -> bytes:
    signed.expires = end
    metadata = Metadata[Any](signed)
    metadata.sign(key)
    return metadata.to_bytes()
