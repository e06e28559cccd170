"""Keeps a catalogue: creates it, lists and withdraws releases, assigns them to rings, signs what ages again.

Roles are divided as Uptane divides them (https://uptane.org/docs/latest/standard): the release key, offline, says
which releases exist; the online key says who shall have which of them. A thief of the online key can only choose
among releases that the release key has signed and not withdrawn.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from scenario_model.catalogue.documents import Assignment, ReleaseIndex, release_target
from scenario_model.catalogue.lifetimes import Lifetimes
from scenario_model.catalogue.shelf import RELEASES, RINGS, TARGETS, Shelf
from scenario_model.errors import InputError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from securesystemslib.signer import Key, Signer

    from scenario_model.release.store import Store

_PATHS = {RELEASES: ["releases/*/*"], RINGS: ["rings/*", "sites/*"]}
_HALF = 0.5


class Keeper:
    """The catalogue in a store, for those who hold keys. `now`: for tests."""

    def __init__(
        self, store: Store, lifetimes: Lifetimes | None = None, now: Callable[[], datetime] | None = None
    ) -> None:
        self.shelf, self._lifetimes = Shelf(store), lifetimes or Lifetimes()
        self._now = now or (lambda: datetime.now(UTC))

    def create(
        self, roots: Sequence[Signer], threshold: int, release: Sequence[Key], online: Sequence[Key]
    ) -> None:
        """Write the first root and the first list of who may sign what, by `threshold` of the offline root keys.

        Raises Refused if there is a catalogue, InputError for a threshold that cannot be met.
        """
        if self.shelf.versions("root"):
            raise Refused(
                "there is a catalogue already", remedy="`scenario-model catalogue rotate` changes its keys"
            )
        _check_threshold(len(roots), threshold)
        root = Root(expires=self._in(self._lifetimes.root), consistent_snapshot=True)
        for each in roots:
            root.add_key(each.public_key, "root")
            root.add_key(each.public_key, "targets")
        root.roles["root"].threshold = root.roles["targets"].threshold = threshold
        for key in online:
            root.add_key(key, "snapshot")
            root.add_key(key, "timestamp")
        targets = Targets(
            expires=self._in(self._lifetimes.releases), delegations=_delegations(release, online)
        )
        self.shelf.add("root", _signed(root, roots))
        self.shelf.add("targets", _signed(targets, roots))

    def list_release(self, index: ReleaseIndex, key: Signer) -> bool:
        """Add a release, signed by the release key; False if it is listed. Visible after `refresh`."""

        def add(listed: Targets) -> bool:
            path = release_target(index.release)
            if path in listed.targets:
                return False
            listed.targets[path] = self._target(path, index.encoded())
            return True

        return self._change(RELEASES, key, add)

    def withdraw(self, release: str, key: Signer) -> bool:
        """Remove a release from the list: no site takes it from then on; those that serve it go on."""

        def remove(listed: Targets) -> bool:
            return listed.targets.pop(release_target(release), None) is not None

        return self._change(RELEASES, key, remove)

    def next_number(self, name: str) -> int:
        """The number of the next release of a name."""
        listed = self._role(RELEASES)
        mine = (
            [path for path in listed.signed.targets if path.startswith(f"releases/{name}/")] if listed else []
        )
        return 1 + max((self._index(listed, path).number for path in mine), default=0) if listed else 1

    def require_listed(self, release: str) -> None:
        """Raises Refused if the catalogue does not list the release."""
        listed = self._role(RELEASES)
        if listed is None or release_target(release) not in listed.signed.targets:
            raise Refused(f"{release} is not in the catalogue", remedy="list it first")

    def assign(self, path: str, assignment: Assignment, key: Signer) -> bool:
        """Let a ring or a site have a release. Raises Refused if the release is not listed."""
        self.require_listed(assignment.release)

        def replace(rings: Targets) -> bool:
            wanted = self._target(path, assignment.encoded())
            if path in rings.targets and rings.targets[path].hashes == wanted.hashes:
                return False
            rings.targets[path] = wanted
            return True

        return self._change(RINGS, key, replace)

    def refresh(self, key: Signer) -> bool:
        """Make what was signed visible, and sign again what is past half of its life; False if nothing had to be.

        Idempotent; for a timer. Raises InputError if a role has not signed anything yet.
        """
        self._change(RINGS, key, lambda _: False)
        root = self.shelf.root().signed
        content, timestamp = self.shelf.timestamp()
        versions = {f"{role}.json": MetaFile(self.role(role).signed.version) for role in ("targets", *_PATHS)}
        snapshot = self.shelf.newest("snapshot", root)
        fresh = snapshot is not None and snapshot.signed.meta == versions
        if snapshot is None or not fresh or self._old(snapshot.signed, self._lifetimes.rings):
            number = 1 + max(self.shelf.versions("snapshot"), default=0)
            snapshot = _signed(
                Snapshot(number, expires=self._in(self._lifetimes.rings), meta=versions), [key]
            )
            self.shelf.add("snapshot", snapshot)
        shown = timestamp is not None and timestamp.signed.snapshot_meta.version == snapshot.signed.version
        if timestamp is not None and shown and not self._old(timestamp.signed, self._lifetimes.timestamp):
            return False
        number = 1 if timestamp is None else timestamp.signed.version + 1
        expires = self._in(self._lifetimes.timestamp)
        new = Timestamp(number, expires=expires, snapshot_meta=MetaFile(snapshot.signed.version))
        self.shelf.swap_timestamp(_signed(new, [key]), content)
        return True

    def rotate(
        self,
        old: Sequence[Signer],
        roots: Sequence[Signer],
        threshold: int,
        release: Signer,
        online: Signer,
    ) -> None:
        """Give all roles new keys, by the old and the new root keys. Sites follow by themselves.

        What the former keys had listed is signed again by the new ones. Raises InputError if the old keys are too few.
        """
        _check_threshold(len(roots), threshold)
        root, listed, rings = self.shelf.root(), self._role(RELEASES), self._role(RINGS)
        new = Root(root.signed.version + 1, expires=self._in(self._lifetimes.root), consistent_snapshot=True)
        for each in roots:
            new.add_key(each.public_key, "root")
            new.add_key(each.public_key, "targets")
        new.roles["root"].threshold = new.roles["targets"].threshold = threshold
        new.add_key(online.public_key, "snapshot")
        new.add_key(online.public_key, "timestamp")
        signed = _signed(new, [*old, *roots])
        try:
            root.signed.verify_delegate("root", signed.signed_bytes, signed.signatures)
        except UnsignedMetadataError as error:
            raise InputError(f"the former root keys given are too few: {error}") from None
        number = 1 + max(self.shelf.versions("targets"))
        delegations = _delegations([release.public_key], [online.public_key])
        targets = Targets(number, expires=self._in(self._lifetimes.releases), delegations=delegations)
        self.shelf.add("targets", _signed(targets, roots))
        # Until the timestamp changes, sites that follow the new root believe none of its other roles, and take nothing.
        self.shelf.add("root", signed)
        for role, former, key in ((RELEASES, listed, release), (RINGS, rings, online)):
            kept = former.signed.targets if former else {}
            self._sign(role, Targets(expires=self._in(self._days(role)), targets=kept), key)
        self.refresh(online)

    def _change(self, role: str, key: Signer, change: Callable[[Targets], bool]) -> bool:
        """Sign a new version of a role if `change` changes it, or if the former one ages."""
        former, days = self._role(role), self._days(role)
        new = Targets(expires=self._in(days), targets=dict(former.signed.targets) if former else {})
        if not change(new) and former is not None and not self._old(former.signed, days):
            return False
        self._sign(role, new, key)
        return True

    def _sign(self, role: str, new: Targets, key: Signer) -> None:
        new.version = 1 + max(self.shelf.versions(role), default=0)
        signed = _signed(new, [key])
        try:
            self._delegator().verify_delegate(role, signed.signed_bytes, signed.signatures)
        except UnsignedMetadataError:
            raise Refused(
                f"this key may not sign {role}", remedy="use the key that the catalogue names"
            ) from None
        self.shelf.add(role, signed)

    def _days(self, role: str) -> float:
        return self._lifetimes.releases if role == RELEASES else self._lifetimes.rings

    def _delegator(self) -> Targets:
        targets: Targets = self.role("targets").signed
        return targets

    def _role(self, role: str) -> Metadata[Any] | None:
        root = self.shelf.root().signed
        return self.shelf.newest(role, root if role == "targets" else self._delegator())

    def role(self, role: str) -> Metadata[Any]:
        """The newest version of `targets` or of a role below it. Raises InputError if nothing was signed for it."""
        found = self._role(role)
        if found is None:
            raise InputError(f"nothing was signed yet for {role}", remedy="list a release first")
        return found

    def _target(self, path: str, content: bytes) -> TargetFile:
        """Write a target's file, named by its digest, and return its entry."""
        entry = TargetFile.from_data(path, content, ["sha256"])
        (named,) = entry.get_prefixed_paths()
        self.shelf.store.create(f"{TARGETS}/{named}", content)
        return entry

    def _index(self, listed: Metadata[Any], path: str) -> ReleaseIndex:
        entry: TargetFile = listed.signed.targets[path]
        content = self.shelf.store.read(f"{TARGETS}/{entry.get_prefixed_paths()[0]}") or b""
        entry.verify_length_and_hashes(content)
        return ReleaseIndex.decoded(content)

    def _in(self, days: float) -> datetime:
        return (self._now() + timedelta(days=days)).replace(microsecond=0)

    def _old(self, signed: Any, days: float) -> bool:
        left: timedelta = signed.expires - self._now()
        return left < timedelta(days=days * _HALF)


def _delegations(release: Sequence[Key], online: Sequence[Key]) -> Delegations:
    keys = {key.keyid: key for key in (*release, *online)}
    roles = {
        role: DelegatedRole(role, [key.keyid for key in ours], 1, terminating=True, paths=_PATHS[role])
        for role, ours in ((RELEASES, release), (RINGS, online))
    }
    return Delegations(keys, roles)


def _check_threshold(number: int, threshold: int) -> None:
    if not 1 <= threshold <= number:
        raise InputError(
            f"{threshold} of {number} root keys cannot sign",
            remedy="use a threshold between 1 and their number",
        )


def _signed(signed: Any, signers: Sequence[Signer]) -> Metadata[Any]:
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata
