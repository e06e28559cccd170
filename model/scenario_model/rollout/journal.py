"""What happened to one release beside the channels of rings: which sites tried it, that it was halted, begun again, led
to the end, or that sites asked for another one.

A signed, numbered chain of objects for each release, written by the online key, as a channel's history is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from scenario_model.errors import Refused
from scenario_model.release.chain import Chain
from scenario_model.release.names import ReleaseId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey

FOLDER = "rollouts"
# Domain separation: no other signature of the online key is valid here.
_DOMAIN = b"scenario-model rollout journal v1\n"
Action = Literal["try", "end", "halt", "again", "done", "asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. `sites`: those that begin to try it, for `try`. `previous`: SHA-256 of the entry before, hex."""

    release: str
    number: int
    action: Action
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
    found = []
    for fields, _ in _chain(store, release).read(key):
        try:
            found.append(Entry(**fields))
        except TypeError:
            raise Refused("is no entry of a rollout", where=_folder(release)) from None
        if found[-1].release != release:
            raise Refused("is an entry of another release", where=_folder(release))
    return found


def append(
    store: Store,
    release: str,
    key: SigningKey,
    action: Action,
    *,
    at: str,
    why: str,
    sites: Sequence[str] = (),
    after: int | None = None,
) -> None:
    """Write the next event. Raises Refused if somebody else wrote one at the same time.

    `after`: the length of the log by which the event was decided.
    """
    told = {"release": release, "action": action, "sites": sorted(sites), "at": at, "why": why}
    _chain(store, release).append(key, told, after)


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


def settled_at(log: Sequence[Entry]) -> float | None:
    """When its rollout had come to its end, in seconds since 1970; None if it has not, or has begun again since."""
    said = [entry for entry in log if entry.action in {"done", "halt", "again"}]
    if not said or said[-1].action != "done":
        return None
    return datetime.fromisoformat(said[-1].at).timestamp()


def _chain(store: Store, release: str) -> Chain:
    return Chain(store, _folder(release), _DOMAIN)


def _folder(release: str) -> str:
    name = ReleaseId.parse(release)
    return f"{FOLDER}/{name.name}/{name.digest.removeprefix('sha256:')}"
