"""A catalogue's metadata in a store: versions that are written once, and the timestamp, the only file that is replaced.

Whoever writes looks for the newest version that its role's keys have signed: what others put there does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from scenario_model.errors import InputError, Refused

if TYPE_CHECKING:
    from scenario_model.release.store import Store

FOLDER = "catalogue"
METADATA = f"{FOLDER}/metadata"
TARGETS = f"{FOLDER}/targets"
RELEASES, RINGS = "releases", "rings"
_TIMESTAMP = f"{METADATA}/timestamp.json"
_KINDS = {"root": Root, "targets": Targets, "snapshot": Snapshot, RELEASES: Targets, RINGS: Targets}


class Shelf:
    """The metadata of the catalogue in one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def versions(self, role: str) -> list[int]:
        """The numbers of a role's versions, the newest first, whoever wrote them."""
        numbers = (name.partition(".") for name in self.store.children(METADATA))
        return sorted(
            (int(number) for number, _, rest in numbers if rest == f"{role}.json" and number.isdecimal()),
            reverse=True,
        )

    def root(self) -> Metadata[Root]:
        """The newest root that follows from the first one, each signed by the keys of the one before.

        Raises InputError if there is no catalogue, Refused if its first root is not one.
        """
        numbers = sorted(self.versions("root"))
        trusted = self._read("root", 1) if numbers else None
        if trusted is None:
            raise InputError("has no catalogue", remedy="`scenario-model catalogue create` makes one")
        if not _signed(trusted.signed, "root", trusted):
            raise Refused("its first root is not signed by enough of its own keys", where=METADATA)
        for number in numbers[1:]:
            found = self._read("root", number)
            if found is None or found.signed.version != trusted.signed.version + 1:
                break
            if not _signed(trusted.signed, "root", found) or not _signed(found.signed, "root", found):
                break
            trusted = found
        return trusted

    def newest(self, role: str, delegator: Root | Targets) -> Metadata[Any] | None:
        """The newest version of `role` that its delegator's keys have signed; None if there is none."""
        for number in self.versions(role):
            found = self._read(role, number)
            if found is not None and found.signed.version == number and _signed(delegator, role, found):
                return found
        return None

    def add(self, role: str, metadata: Metadata[Any]) -> None:
        """Write a new version of a role. Raises Refused if somebody else wrote that number."""
        key = f"{METADATA}/{metadata.signed.version}.{role}.json"
        if not self.store.create(key, metadata.to_bytes()):
            raise Refused("was written at the same time by somebody else", where=key, remedy="run it again")

    def timestamp(self) -> tuple[bytes | None, Metadata[Timestamp] | None]:
        """The timestamp as it is, and what it says; None if there is none, or if it says nothing."""
        content = self.store.read(_TIMESTAMP)
        return content, None if content is None else _parsed(content, Timestamp)

    def swap_timestamp(self, metadata: Metadata[Timestamp], expected: bytes | None) -> None:
        """Replace the timestamp, which makes new versions visible. Raises Refused if it was changed meanwhile."""
        if not self.store.swap(_TIMESTAMP, metadata.to_bytes(), expected):
            raise Refused(
                "was changed at the same time by somebody else", where=_TIMESTAMP, remedy="run it again"
            )

    def _read(self, role: str, number: int) -> Metadata[Any] | None:
        content = self.store.read(f"{METADATA}/{number}.{role}.json")
        return None if content is None else _parsed(content, _KINDS[role])


def _parsed(content: bytes, kind: type) -> Metadata[Any] | None:
    try:
        found: Metadata[Any] = Metadata.from_bytes(content)
    except (DeserializationError, RepositoryError, ValueError, RecursionError):
        return None
    return found if isinstance(found.signed, kind) else None


def _signed(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> bool:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError):
        return False
    return True
