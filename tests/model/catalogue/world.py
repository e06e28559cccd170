"""A catalogue in a folder with all of its keys, as its keepers and its attackers have them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tuf.api.metadata import Metadata

from scenario_model.catalogue.documents import Assignment, ring_target
from scenario_model.catalogue.indexing import index_of
from scenario_model.catalogue.keeper import Keeper
from scenario_model.catalogue.signers import CatalogueSigner, signer
from scenario_model.catalogue.sources import FolderSource
from scenario_model.catalogue.visitor import LONGEST, Visitor
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair


@dataclass(frozen=True)
class World:
    """`releases`: the names of those that were listed, in the order of their numbers."""

    folder: Path
    key_pair: KeyPair
    releases: list[str] = field(default_factory=list)

    @classmethod
    def created(cls, folder: Path, key_pair: KeyPair) -> World:
        world = cls(folder, key_pair)
        world.with_keys().keeper().create(
            world.roots, 2, [signer(str(key_pair.private)).public_key], [world.online.public_key]
        )
        shutil.copyfile(world.metadata / "1.root.json", folder / "pinned.json")
        return world

    def at(self, folder: Path) -> World:
        """The same with its files in another folder."""
        return replace(self, folder=folder, releases=[*self.releases])

    def with_keys(self) -> World:
        """The same, with new keys in the place of those that are missing."""
        for name in ("root-1", "root-2", "root-3", "online"):
            keys.create_pair(self.folder / "keys" / f"{name}.pem", self.folder / "keys" / f"{name}.pub")
        return self

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def metadata(self) -> Path:
        return self.store / "catalogue" / "metadata"

    @property
    def roots(self) -> list[CatalogueSigner]:
        return [signer(str(self.folder / "keys" / f"root-{number}.pem")) for number in (1, 2, 3)]

    @property
    def online(self) -> CatalogueSigner:
        return signer(str(self.folder / "keys" / "online.pem"))

    @property
    def release_key(self) -> CatalogueSigner:
        return signer(str(self.key_pair.private))

    def stranger(self) -> CatalogueSigner:
        """The signer with a key of nobody's."""
        keys.create_pair(self.folder / "keys" / "stranger.pem", self.folder / "keys" / "stranger.pub")
        return signer(str(self.folder / "keys" / "stranger.pem"))

    def keeper(self, days_ago: float = 0) -> Keeper:
        """A keeper, who may have done it some days ago."""
        then: Callable[[], datetime] = lambda: datetime.now(UTC) - timedelta(days=days_ago)  # noqa: E731
        return Keeper(FolderStore(self.store), now=then)

    def add(self, directory: Path, release: str) -> None:
        """Put a signed release into the store, and list it."""
        keeper = self.keeper()
        keeper.shelf.store.upload(release, directory)
        verified = verify_release(directory, self.key_pair.public)
        keeper.list_release(index_of(verified, keeper.next_number(verified.name)), self.release_key)
        self.releases.append(release)

    def assign(self, ring: str, number: int, floor: int = 0, key: CatalogueSigner | None = None) -> None:
        """Lead a ring to the release with a number, and let sites see it."""
        keeper = self.keeper()
        release = self.releases[number - 1]
        keeper.assign(ring_target(ring), Assignment(ring, release, floor), key or self.online)
        keeper.refresh(self.online)

    def keep(self, name: str) -> None:
        """Keep a copy of the store as it is now, for replays."""
        shutil.copytree(self.store, self.folder / name)

    def newest(self, role: str) -> Path:
        """The file of a role's newest version."""
        if role == "timestamp":
            return self.metadata / "timestamp.json"
        numbers = [int(path.name.partition(".")[0]) for path in self.metadata.glob(f"*.{role}.json")]
        return self.metadata / f"{max(numbers)}.{role}.json"

    def edit(self, role: str, change: Callable[[dict[str, Any]], None], *signers: CatalogueSigner) -> None:
        """Change what the newest version of a role says, and sign it with these keys alone."""
        path = self.newest(role)
        content = json.loads(path.read_text())
        change(content["signed"])
        metadata = Metadata[Any].from_dict(content)
        metadata.signatures.clear()
        for each in signers:
            metadata.sign(each, append=True)
        self.overwrite(path, metadata.to_bytes())

    def overwrite(self, path: Path, content: bytes) -> None:
        """Write a file that a store made read-only."""
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    def visitor(self, name: str = "site", *, at_least: int = 0, longest: timedelta = LONGEST) -> Visitor:
        """A site, which knows the first root."""
        root = (self.folder / "pinned.json").read_bytes()
        return Visitor(self.folder / name, FolderSource(self.store), root, at_least=at_least, longest=longest)
