"""Bets that units are outliers among all that came before them, of this place and since this release.

A unit's rank among those before it is as likely to be any as long as their order means nothing, whatever their
distribution is: so no reference is needed, and its size promises nothing less (Vovk, Nouretdinov, Gammerman: testing
exchangeability on-line, ICML 2003). It finds changes that come later, not those that were there from the start.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LEVELS, _STAKES = (grid.ravel() for grid in np.meshgrid([0.1, 0.03, 0.01, 0.005], [0.05, 0.1, 0.35]))
BETS = len(_LEVELS)
_MOST = 65_536


class Ranks:
    """The scores so far, and bets on the ranks of the next."""

    def __init__(self, random: np.random.Generator, scores: Sequence[float] = ()) -> None:
        """`random`: decides between equals."""
        self._random, self._scores = random, sorted(scores)

    @property
    def scores(self) -> Floats:
        """The scores so far, in their order of size."""
        return np.array(self._scores)

    def with_scores(self, scores: Floats) -> Ranks:
        """As if these had come before."""
        return Ranks(self._random, [float(each) for each in scores])

    def logs(self, units: Sequence[Floats]) -> Floats:
        """Logarithms of the factors of one window, one for each bet; its units join those before."""
        total = np.zeros(BETS)
        for scores in units:
            rank = self._rank(float(np.mean(scores)))
            total += np.log(1 - _STAKES + _STAKES * (rank <= _LEVELS) / _LEVELS)
        return total

    def _rank(self, score: float) -> float:
        """The share of units that are as high, this one included: uniform if nothing has changed."""
        if len(self._scores) >= _MOST:
            # What was bet stays; ranks begin anew.
            self._scores.clear()
        left, right = bisect.bisect_left(self._scores, score), bisect.bisect_right(self._scores, score)
        above, same = len(self._scores) - right, right - left
        rank = (above + self._random.random() * (same + 1)) / (len(self._scores) + 1)
        self._scores.insert(right, score)
        return float(rank)
