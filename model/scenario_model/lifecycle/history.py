"""What was served at a time, and why: from the channel's signed history and the lifecycle's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scenario_model.errors import InputError
from scenario_model.release import channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.release.lifecycle_journal import Entry
    from scenario_model.release.store import Store


@dataclass(frozen=True, slots=True)
class Served:
    """What a channel named at some time.

    Attributes:
        release: it.
        since: when it came.
        until: when it went; empty if it has not.
        by: who moved the channel.
        why: the lifecycle's reason; empty if a person moved it.

    """

    release: str
    since: str
    until: str
    by: str
    why: str


def served_at(
    store: Store,
    name: str,
    which: str,
    key: ec.EllipticCurvePublicKey,
    entries: Sequence[Entry],
    moment: datetime,
) -> Served:
    """Look it up. `entries`: the lifecycle's. Raises InputError for a time before the first release."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    moves = channel.history(store, name, which, key)
    came = [move for move in moves if datetime.fromisoformat(move.at) <= moment]
    if not came:
        raise InputError(f"nothing was served at {moment.isoformat()}", where=f"channel {which} of {name}")
    move = came[-1]
    later = moves[len(came)].at if len(moves) > len(came) else ""
    reasons = [
        entry.why
        for entry in entries
        if entry.event in ("promoted", "returned") and move.release in (entry.release, entry.beside)
    ]
    why = reasons[-1] if reasons and move.by == "lifecycle" else ""
    return Served(move.release, move.at, later, move.by, why)
