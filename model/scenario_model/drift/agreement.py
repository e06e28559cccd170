"""What detectors ask for, and what they promise, together. Pure: also read where nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Name = Literal["outlying", "reference", "changed", "novel"]
SHARES: Mapping[Name, float] = {"outlying": 0.4, "reference": 0.2, "changed": 0.2, "novel": 0.2}
"""Each detector's share of the false alarms."""
# Half of what a detector of recent traffic may alarm falsely is for what it has learnt.
_SPENT: Mapping[Name, float] = {"outlying": 1.0, "reference": 1.0, "changed": 0.5, "novel": 0.5}
Asks = Literal["nothing", "warning", "retraining"]


class Compared(Protocol):
    """Evidence and where it alarms."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def threshold(self) -> float: ...  # noqa: D102


def asks(signals: Sequence[Compared]) -> Asks:
    """What the signals ask for: one detector alone warns, two that agree ask for retraining."""
    alarms = sum(signal.value >= signal.threshold for signal in signals)
    return "retraining" if alarms > 1 else "warning" if alarms else "nothing"


def threshold(name: Name, windows: float) -> float:
    """Where a detector alarms, if all together promise at most one false alarm in so many windows."""
    return windows / SHARES[name] / _SPENT[name]


def promised(thresholds: Iterable[tuple[str, float]]) -> float | None:
    """What detectors with these names and thresholds promise; None if none of them is known."""
    known = {str(name): threshold(name, 1.0) for name in SHARES}
    return min((value / known[name] for name, value in thresholds if name in known), default=None)
