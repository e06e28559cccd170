"""Bets that units score higher than those of a fixed reference do, whatever that reference is short of.

The reference is a sample. How many of all units are above one of its quantiles is known up to a bound, and the bets are
fair against the bound: with a fixed reference, its own luck must not look like drift (the problem, and martingales that
are valid given the reference: arXiv 2602.13848).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenario_model.drift.evidence import upper_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scenario_model.drift.scores import Scores

    Floats = NDArray[np.float64]

# What a bet expects after a change: of the units that were below the quantile, this share has come above it.
_MOVED = np.array([0.07, 0.3, 0.85])
_FEWEST = 12
"""Units of one length, below which their bounds would allow for anything."""


class Exceedance:
    """Bets against one reference, whose units have scores of several lengths.

    Of a unit, the share of its scores above a quantile counts, so that a long unit has no more weight than a short one.
    """

    def __init__(self, reference: Sequence[Scores], quantiles: Sequence[float], chance: float) -> None:
        """`chance`: that the reference is so unlucky that the bets are not fair."""
        by_length: dict[int, list[Floats]] = {}
        for length, values in reference:
            by_length.setdefault(length, []).append(values)
        enough = {length: units for length, units in by_length.items() if len(units) >= _FEWEST}
        each = chance / len(quantiles) / max(len(enough), 1)
        self._of_length = {
            length: _Bets.against(units, quantiles, each) for length, units in sorted(enough.items())
        }
        self._number = self.bets(quantiles)

    @staticmethod
    def bets(quantiles: Sequence[float]) -> int:
        """How many bets there are."""
        return len(quantiles) * len(_MOVED)

    @property
    def lengths(self) -> list[int]:
        """Of pieces that have a reference, in rising order."""
        return list(self._of_length)

    @property
    def largest_bounds(self) -> Floats:
        """For each quantile, the share of units that may be above it; of the length for which it is largest."""
        bounds: Floats = np.max([bets.bounds for bets in self._of_length.values()], axis=0)
        return bounds

    def logs(self, units: Sequence[Scores]) -> Floats:
        """Logarithms of the factors of one window, one for each bet."""
        total = np.zeros(self._number)
        for length, values in units:
            if bets := self._of_length.get(length):
                total += bets.logs(values)
        return total


@dataclass(frozen=True, slots=True)
class _Bets:
    """Bets on units of one length."""

    limits: Floats
    bounds: Floats
    stakes: Floats

    @classmethod
    def against(cls, units: Sequence[Floats], quantiles: Sequence[float], chance: float) -> _Bets:
        scores = np.concatenate(list(units))
        weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in units])
        order = np.argsort(scores, kind="stable")
        reached = np.cumsum(weights[order]) / weights.sum()
        at = np.minimum(np.searchsorted(reached, np.asarray(quantiles) - 1e-9), len(scores) - 1)
        limits: Floats = scores[order][at]
        shares = [float(np.mean([np.mean(each > limit) for each in units])) for limit in limits]
        bounds: Floats = np.array([upper_bound(share, len(units), chance) for share in shares])
        moved = bounds[:, None] + (1 - bounds[:, None]) * _MOVED
        return cls(limits, bounds, (moved - bounds[:, None]) / (bounds * (1 - bounds))[:, None])

    def logs(self, values: Floats) -> Floats:
        above = np.mean(values[:, None] > self.limits, axis=0) - self.bounds
        logs: Floats = np.log1p(self.stakes * above[:, None]).ravel()
        return logs
