"""Bets that units score higher than those of a fixed reference do, whatever that reference is short of.

The reference is a sample. How many of all units are above one of its quantiles is known up to a bound, and the bets are
fair against the bound: with a fixed reference, its own luck must not look like drift (the problem, and martingales that
are valid given the reference: arXiv 2602.13848).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenario_model.drift.evidence import upper_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# What a bet expects after a change: of the units that were below the quantile, this share has come above it.
_MOVED = np.array([0.07, 0.3, 0.85])


class Exceedance:
    """Bets against one reference.

    A unit is several scores: those of its pieces. What counts is the share of them above a quantile, so that a long
    unit has no more weight than a short one.
    """

    def __init__(self, reference: Sequence[Floats], quantiles: Sequence[float], chance: float) -> None:
        """`chance`: that the reference is so unlucky that the bets are not fair."""
        scores = np.concatenate(list(reference))
        weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in reference])
        order = np.argsort(scores, kind="stable")
        reached = np.cumsum(weights[order]) / weights.sum()
        at = np.minimum(np.searchsorted(reached, np.asarray(quantiles) - 1e-9), len(scores) - 1)
        self.limits: Floats = scores[order][at]
        shares = [float(np.mean([np.mean(each > limit) for each in reference])) for limit in self.limits]
        each = chance / len(quantiles)
        self.bounds: Floats = np.array([upper_bound(share, len(reference), each) for share in shares])
        moved = self.bounds[:, None] + (1 - self.bounds[:, None]) * _MOVED
        self._stakes = (moved - self.bounds[:, None]) / (self.bounds * (1 - self.bounds))[:, None]

    @staticmethod
    def bets(quantiles: Sequence[float]) -> int:
        """How many bets there are."""
        return len(quantiles) * len(_MOVED)

    def logs(self, units: Sequence[Floats]) -> Floats:
        """Logarithms of the factors of one window, one for each bet."""
        total = np.zeros_like(self._stakes)
        for scores in units:
            above = np.array([np.mean(scores > limit) for limit in self.limits]) - self.bounds
            total += np.log1p(self._stakes * above[:, None])
        flat: Floats = total.ravel()
        return flat
