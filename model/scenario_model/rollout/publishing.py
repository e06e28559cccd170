"""Brings a release into a catalogue, from nothing if need be, and lets the rollout begin. Repeatable at any point."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_model.catalogue.indexing import index_of
from scenario_model.catalogue.keeper import Keeper
from scenario_model.catalogue.signers import CatalogueSigner, signer
from scenario_model.errors import InputError, Refused
from scenario_model.release import channel
from scenario_model.release.names import ReleaseId
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from scenario_model.rollout.journal import append, begun_again, entries
from scenario_model.rollout.step import HALTED, ROLLOUT
from scenario_model.signing import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.release.store import Store
    from scenario_model.rollout.settings import CatalogueKeys, PublishSettings


@dataclass(frozen=True, slots=True)
class Published:
    """`root`: the catalogue's first root metadata, which sites pin. `changed`: whether anything was new."""

    root: str
    changed: bool


def publish(settings: PublishSettings) -> Published:
    """Create the catalogue if there is none, store and list the release, and point channel `rollout` at it.

    Raises Refused if the release does not verify, did not pass its gate or was halted, or if the catalogue belongs to
    other keys; InputError for unusable keys, stores and sources.
    """
    store = open_store(settings.store)
    keeper = Keeper(store)
    online = keys.signing_key(settings.keys.online)
    changed = _create(keeper, settings.keys)
    trusted = keys.load_public(settings.verification_key)
    refuse_halted(store, settings.release, online)
    with _folder(settings.source) as folder:
        verified = verify_release(folder, settings.verification_key, settings.release)
        index = index_of(verified, keeper.next_number(verified.name))
        changed |= store.upload(settings.release, folder)
    changed |= keeper.list_release(index, signer(settings.keys.releases))
    changed |= keeper.refresh(CatalogueSigner(online))
    changed |= channel.promote(
        store, settings.release, ROLLOUT, online, **channel.stamp(), release_key=trusted
    )
    first = store.read("catalogue/metadata/1.root.json") or b""
    return Published(first.decode(), changed)


def _create(keeper: Keeper, given: CatalogueKeys) -> bool:
    """Create the catalogue; False if there is one that these keys may sign."""
    roots, online = [signer(key) for key in given.root], signer(given.online)
    if not keeper.shelf.versions("root"):
        releases = signer(given.releases)
        keeper.create(roots, given.threshold, [releases.public_key], [online.public_key])
        return True
    root = keeper.shelf.root().signed
    if online.public_key.keyid not in root.roles["timestamp"].keyids:
        raise Refused(
            "the catalogue in this store belongs to other keys",
            remedy="give its keys, or use a store of its own for this one",
        )
    return False


def refuse_halted(store: Store, release: str, online: keys.SigningKey) -> None:
    """Raise Refused for a release that a rollout has halted."""
    name = ReleaseId.parse(release).name
    history = channel.history(store, name, HALTED, online.public_key())
    if not any(entry.release == release for entry in history):
        return
    if not begun_again(entries(store, release, online.public_key())):
        raise Refused(
            f"{release} was halted by the rollout",
            remedy="`scenario-model rollout status` says why; publish another release, or `rollout start --again`",
        )


def begin_again(store: Store, release: str, online: keys.SigningKey, *, at: str, by: str) -> None:
    """Let a release that was halted be rolled out once more; nothing happens if it was not, or may be already."""
    name, key = ReleaseId.parse(release).name, online.public_key()
    halted = any(entry.release == release for entry in channel.history(store, name, HALTED, key))
    if halted and not begun_again(entries(store, release, key)):
        append(store, release, online, "again", at=at, why=f"{by} wants it again")


@contextlib.contextmanager
def _folder(source: Path) -> Iterator[Path]:
    """The release's folder; an archive is unpacked into a temporary one."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory() as aside:
        try:
            with tarfile.open(source) as archive:
                archive.extractall(aside, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise InputError(f"cannot be read as a release: {error}", where=str(source)) from None
        yield Path(aside)
