"""What detectors ask for together. Pure: also read where nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

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
