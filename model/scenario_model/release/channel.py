"""Channels: `stable` points at one release; its history is signed, chained and only ever grows.

A channel is a folder of numbered entries, `channels/<name>/<channel>/00000001.json`. Each has the release,
who moved the channel and when, and the SHA-256 of the previous entry; each is signed. Creating the next
number if it is absent is the compare-and-swap: of two concurrent promotions, one finds the number taken.

Limitation: deletion of the newest entries is not detected. An attacker who controls the store can restore an
older signed state (rollback), but cannot forge a new one.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from scenario_model.errors import InputError, Refused
from scenario_model.release import chain
from scenario_model.release.names import ReleaseId, check_name
from scenario_model.release.verify import verify_with
from scenario_model.signing.keys import load_public

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey

# Domain separation: a channel's signature is not valid for anything else that this key signs.
_DOMAIN = b"scenario-model channel entry v1\n"
NOTHING = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One step of a channel's history. `previous` is the SHA-256 (hex) of the entry before, if any."""

    name: str
    channel: str
    sequence: int
    action: Literal["promote", "rollback"]
    release: str
    previous: str
    at: str
    by: str


def current(store: Store, name: str, channel: str, key: Path) -> str:
    """The release that the channel points at, as `name@sha256:…`.

    `key` is the public key's PEM file. Raises Refused if the history is invalid, InputError if it is empty.
    """
    entries = history(store, name, channel, load_public(key))
    if not entries:
        raise InputError(
            f"channel {channel} of {name} points at nothing yet",
            remedy="promote a release: `scenario-model release promote`",
        )
    return entries[-1].release


def history(store: Store, name: str, channel: str, key: ec.EllipticCurvePublicKey | None) -> list[Entry]:
    """All entries, oldest first, after checking numbers, chain and signatures. Raises Refused.

    Without a key, signatures are not checked: for display only, never to act on.
    """
    return [entry for entry, _ in _chain(store, name, channel, key)]


def promote(
    store: Store,
    release: str,
    channel: str,
    key: SigningKey,
    *,
    at: str,
    by: str,
    expect: str | None = None,
    release_key: ec.EllipticCurvePublicKey | None = None,
) -> bool:
    """Point the channel at `release`; False if it already does.

    `release_key`: of the key that signs releases, if another one signs the channel. `expect`, if given, is the release
    the channel must currently point at (`none`: nothing). Raises Refused if it points elsewhere or was moved
    concurrently, if the release does not verify, or if its evaluation gate failed.
    """
    name = ReleaseId.parse(release).name
    entries = _chain(store, name, channel, key.public_key())
    now = entries[-1][0].release if entries else NOTHING
    if now == release:
        return False
    if expect is not None and expect != now:
        raise Refused(
            f"channel {channel} is at {now}, not at {expect}", remedy="check the channel, then retry"
        )
    _check_promotable(store, release, release_key or key.public_key())
    _append(store, key, entries, name=name, channel=channel, action="promote", release=release, at=at, by=by)
    return True


class Stamp(TypedDict):
    """When a channel is moved, and by whom."""

    at: str
    by: str


def stamp() -> Stamp:
    """The time and person that move a channel: `at` and `by` of an entry, as trustworthy as this host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "by": f"{user}@{socket.gethostname()}"}


def rollback(
    store: Store,
    name: str,
    channel: str,
    key: SigningKey,
    *,
    at: str,
    by: str,
    release_key: ec.EllipticCurvePublicKey | None = None,
) -> str:
    """Point the channel back at the release before the current one, and return that release; keys as for `promote`.

    A rollback undoes the last promotion that is not yet undone. Raises Refused if there is none before it.
    """
    entries = _chain(store, name, channel, key.public_key())
    standing = _standing(entry for entry, _ in entries)
    if len(standing) < 2:
        raise Refused(f"channel {channel} of {name} has no earlier release to roll back to")
    release = standing[-2]
    _check_promotable(store, release, release_key or key.public_key())
    _append(store, key, entries, name=name, channel=channel, action="rollback", release=release, at=at, by=by)
    return release


def _standing(entries: Any) -> list[str]:
    """The promotions that were not rolled back."""
    standing: list[str] = []
    for entry in entries:
        if entry.action == "promote":
            standing.append(entry.release)
        else:
            standing.pop()
    return standing


def _check_promotable(store: Store, release: str, key: ec.EllipticCurvePublicKey) -> None:
    evaluation = verify_with(store.fetch(release), key, expect=release).manifest.get("evaluation")
    if not isinstance(evaluation, dict) or evaluation.get("passed") is not True:
        reasons = evaluation.get("reasons") if isinstance(evaluation, dict) else None
        why = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else "no reason recorded"
        raise Refused(
            f"{release} did not pass its evaluation gate: {why}",
            remedy="it stays in the store for inspection",
        )


def _append(store: Store, key: SigningKey, entries: list[tuple[Entry, str]], **fields: Any) -> None:
    previous = entries[-1][1] if entries else ""
    entry = Entry(sequence=len(entries) + 1, previous=previous, **fields)
    content = chain.signed(asdict(entry), key, _DOMAIN)
    if not store.create(_key(entry.name, entry.channel, entry.sequence), content):
        now = _chain(store, entry.name, entry.channel, key.public_key())[-1][0].release
        raise Refused(
            f"channel {entry.channel} was moved concurrently and is at {now}",
            remedy="check the channel, then retry",
        )


def _chain(
    store: Store, name: str, channel: str, key: ec.EllipticCurvePublicKey | None
) -> list[tuple[Entry, str]]:
    """The checked entries, each with the SHA-256 of its bytes."""
    prefix = f"channels/{check_name(name, 'release')}/{check_name(channel, 'channel')}"
    entries: list[tuple[Entry, str]] = []
    for number, child in enumerate(store.children(prefix), start=1):
        where = f"{prefix}/{child}"
        if where != _key(name, channel, number):
            raise Refused(f"history has a gap or a foreign file: entry {number} is missing", where=where)
        content = store.read(where)
        if content is None:
            raise Refused("history entry disappeared while it was being read", where=where)
        entry = _decode(content, key, where)
        if (entry.name, entry.channel, entry.sequence) != (name, channel, number):
            raise Refused("is an entry of another history or position", where=where)
        if entry.previous != (entries[-1][1] if entries else ""):
            raise Refused("does not follow the previous entry", where=where)
        entries.append((entry, hashlib.sha256(content).hexdigest()))
    return entries


def _key(name: str, channel: str, sequence: int) -> str:
    return f"channels/{name}/{channel}/{sequence:08d}.json"


def _decode(content: bytes, key: ec.EllipticCurvePublicKey | None, where: str) -> Entry:
    try:
        return Entry(**chain.fields_of(content, key, _DOMAIN, where))
    except TypeError:
        raise Refused("not an entry in this version's format", where=where) from None
