"""The signed history of a lifecycle: what happened, when and why; from it each step knows where the last one was."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.errors import Refused
from scenario_model.release.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey

FOLDER = "lifecycle"
_DOMAIN = b"scenario-model lifecycle v1\n"
Event = Literal[
    "asked", "approved", "trained", "refused", "tried", "held", "dropped", "promoted", "settled", "returned"
]
"""asked: for retraining. approved: by a person, or by the settings. trained: and through the gate. refused: by the
gate, or it could not be trained. tried: as a canary. held: too little traffic to judge it. dropped: it was worse.
promoted: it is to be served. settled: it is. returned: it was not ready, and the former one is served again."""
ENDS: tuple[Event, ...] = ("refused", "dropped", "settled", "returned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. `release`: which one it is about; `beside`: the one that is served meanwhile."""

    event: Event
    at: str
    release: str
    beside: str
    why: str
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def time(self) -> float:
        """When, in seconds since 1970."""
        return datetime.fromisoformat(self.at).timestamp()


@dataclass(frozen=True, slots=True)
class Journal:
    """The history of one name of releases."""

    store: Store
    name: str

    def entries(self, key: ec.EllipticCurvePublicKey) -> list[Entry]:
        """All events, the oldest first. Raises Refused if the history is not genuine."""
        found = []
        for fields, _ in self._chain.read(key):
            told = {name: value for name, value in fields.items() if name not in ("number", "previous")}
            try:
                found.append(Entry(**told))
            except TypeError:
                raise Refused("has an entry of another form", where=self._chain.folder) from None
        return found

    def append(self, key: SigningKey, entry: Entry) -> None:
        """Write the next event. Raises Refused if another step wrote one at the same time."""
        self._chain.append(key, asdict(entry))

    @property
    def _chain(self) -> Chain:
        return Chain(self.store, f"{FOLDER}/{self.name}", _DOMAIN)


def retrainings_since(entries: Sequence[Entry], time: float) -> int:
    """How many retrainings were approved since a time in seconds since 1970."""
    return sum(entry.event == "approved" and entry.time >= time for entry in entries)
