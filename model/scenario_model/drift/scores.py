"""What a piece of text is scored by; higher is less like the baseline. All per token, in nats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scenario_model.drift.baseline import Baseline
    from scenario_model.drift.units import Pieces

    Floats = NDArray[np.float64]
    Unit = tuple[str, Pieces]

_SHRINK_TOKENS = 3000.0


class Scores(NamedTuple):
    """Of one unit: the length of its pieces, and a score for each."""

    length: int
    values: Floats


class Strangeness:
    """How much likelier a text is as text of any kind than by the baseline.

    A loss alone would not do: text of few, common words is likely by any model.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._baseline, self._background = baseline, baseline.background
        self._columns = self._log_ratio(baseline.chances, self._background)

    @staticmethod
    def _log_ratio(chances: Floats, background: Floats) -> Floats:
        ratio: Floats = np.log((background + chances) / (2 * chances))
        return ratio

    def of(self, pieces: Pieces) -> Scores:
        """Score a text's pieces."""
        return Scores(pieces.length, pieces.mean(self._columns[pieces.tokens]))

    def of_baseline(self) -> list[Scores]:
        """Score each of the baseline's documents by all others."""
        found = []
        for sample in self._baseline.samples:
            chances, pieces = self._baseline.chances_without(sample), sample.pieces
            ratio = self._log_ratio(chances, self._background[pieces.tokens])
            found.append(Scores(pieces.length, pieces.mean(ratio)))
        return found


@dataclass
class Likeness:
    """How much likelier a text is by recent traffic, of other clients, than by the baseline."""

    baseline: Baseline
    counts: Floats
    of_clients: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def learnt(cls, baseline: Baseline, units: Sequence[Unit]) -> Likeness:
        """Learn from units of recent traffic."""
        found = cls(baseline, np.zeros(baseline.columns))
        for client, pieces in units:
            counts = pieces.total(baseline.columns)
            found.counts += counts
            found.of_clients[client] = found.of_clients.get(client, 0) + counts
        return found

    def of(self, client: str, pieces: Pieces) -> Scores:
        """Score a text of a client."""
        counts = self.counts
        if client in self.of_clients:
            counts = counts - self.of_clients[client]
        usual = self.baseline.chances[pieces.tokens]
        return Scores(pieces.length, pieces.mean(self._log_ratio(counts, pieces, usual)))

    def of_baseline(self) -> list[Scores]:
        """Score each of the baseline's documents, the baseline being all others."""
        found = []
        for sample in self.baseline.samples:
            usual, pieces = self.baseline.chances_without(sample), sample.pieces
            ratio = self._log_ratio(self.counts, pieces, usual)
            found.append(Scores(pieces.length, pieces.mean(ratio)))
        return found

    @staticmethod
    def _log_ratio(counts: Floats, pieces: Pieces, usual: Floats) -> Floats:
        recent = (counts[pieces.tokens] + _SHRINK_TOKENS * usual) / (counts.sum() + _SHRINK_TOKENS)
        ratio: Floats = np.log(recent / usual)
        return ratio
