"""What happened to one release beside the channels of rings: which sites tried it, that it was halted, or begun again.

A signed, numbered chain of objects for each release, written by the online key, as a channel's history is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.errors import Refused
from scenario_model.release.names import ReleaseId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey

FOLDER = "rollouts"
# Domain separation: no other signature of the online key is valid here.
_DOMAIN = b"scenario-model rollout journal v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. `sites`: those that begin to try it, for `try`. `previous`: SHA-256 of the entry before, hex."""

    release: str
    number: int
    action: Literal["try", "end", "halt", "again"]
    sites: list[str]
    at: str
    why: str
    previous: str


@dataclass(frozen=True, slots=True)
class Trial:
    """Sites that try a release before their ring has it, since a time in seconds since 1970."""

    since: float
    sites: frozenset[str]
    open: bool


def entries(store: Store, release: str, key: ec.EllipticCurvePublicKey) -> list[Entry]:
    """Return the events of a release, the oldest first. Raises Refused if the chain is not genuine."""
    return [entry for entry, _ in _chain(store, release, key)]


def append(
    store: Store,
    release: str,
    key: SigningKey,
    action: Literal["try", "end", "halt", "again"],
    *,
    at: str,
    why: str,
    sites: Sequence[str] = (),
) -> None:
    """Write the next event. Raises Refused if somebody else wrote one at the same time."""
    chain = _chain(store, release, key.public_key())
    entry = Entry(
        release=release,
        number=len(chain) + 1,
        action=action,
        sites=sorted(sites),
        at=at,
        why=why,
        previous=chain[-1][1] if chain else "",
    )
    signature = key.sign(_DOMAIN + _canonical(asdict(entry)), ec.ECDSA(hashes.SHA256()))
    where = f"{_folder(release)}/{entry.number:06d}.json"
    if not store.create(where, _encode(entry, signature)):
        raise Refused("was written at the same time by another step", where=where, remedy="run it again")


def last_trial(log: Sequence[Entry]) -> Trial | None:
    """The trial that goes on, or the last one that ended; None if no site ever tried the release."""
    group: list[Entry] = []
    ended = False
    for entry in log:
        if entry.action == "try":
            group, ended = ([entry], False) if ended else ([*group, entry], False)
        elif entry.action == "end":
            ended = True
    if not group:
        return None
    sites = frozenset(site for entry in group for site in entry.sites)
    return Trial(datetime.fromisoformat(group[0].at).timestamp(), sites, not ended)


def begun_again(log: Sequence[Entry]) -> bool:
    """Whether a person wanted the release again after the last time that it was halted."""
    said = [entry.action for entry in log if entry.action in {"halt", "again"}]
    return bool(said) and said[-1] == "again"


def _chain(store: Store, release: str, key: ec.EllipticCurvePublicKey) -> list[tuple[Entry, str]]:
    found: list[tuple[Entry, str]] = []
    folder = _folder(release)
    for number, child in enumerate(store.children(folder), start=1):
        where = f"{folder}/{child}"
        content = store.read(where) or b""
        entry = _decode(content, key, where)
        previous = found[-1][1] if found else ""
        if (entry.release, entry.number, entry.previous) != (release, number, previous):
            raise Refused("does not follow the entry before it", where=where)
        found.append((entry, hashlib.sha256(content).hexdigest()))
    return found


def _folder(release: str) -> str:
    name = ReleaseId.parse(release)
    return f"{FOLDER}/{name.name}/{name.digest.removeprefix('sha256:')}"


def _encode(entry: Entry, signature: bytes) -> bytes:
    told = {"entry": asdict(entry), "signature": base64.b64encode(signature).decode()}
    return _canonical(told) + b"\n"


def _decode(content: bytes, key: ec.EllipticCurvePublicKey, where: str) -> Entry:
    try:
        parsed = json.loads(content)
        entry = Entry(**parsed["entry"])
        signature = base64.b64decode(parsed["signature"], validate=True)
        # One encoding only, so that the chain covers every byte.
        genuine = _encode(entry, signature) == content
        key.verify(signature, _DOMAIN + _canonical(asdict(entry)), ec.ECDSA(hashes.SHA256()))
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error, InvalidSignature):
        genuine = False
    if not genuine:
        raise Refused("is not an entry that the rollout's key signed", where=where)
    return entry


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
