"""Bets that units are outliers among all that came before them, of this place and since this release.

A unit's rank among those before it is as likely to be any as long as their order means nothing, whatever their
distribution is: so no reference is needed, and its size promises nothing less (Vovk, Nouretdinov, Gammerman: testing
exchangeability on-line, ICML 2003). It finds changes that come later, not those that were there from the start.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import numpy as np

from scenario_model.drift.units import LENGTHS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from scenario_model.drift.scores import Scores

    Floats = NDArray[np.float64]

_LEVELS, _STAKES = (grid.ravel() for grid in np.meshgrid([0.1, 0.03, 0.01, 0.005], [0.05, 0.1, 0.35]))
BETS = len(_LEVELS)
_MOST = 65_536


class Ranks:
    """The scores so far, and bets on the ranks of the next; among those of pieces of the same length."""

    def __init__(self, random: np.random.Generator) -> None:
        """`random`: decides between equals."""
        self._random = random
        self._scores: dict[int, list[float]] = {length: [] for length in LENGTHS}

    def state(self) -> dict[str, Floats]:
        """The scores so far, for each length, in their order of size."""
        return {f"scores.{length}": np.array(scores) for length, scores in self._scores.items()}

    def resume(self, state: Mapping[str, Floats]) -> None:
        """As if those had come before. Raises KeyError for another form."""
        self._scores = {length: sorted(map(float, state[f"scores.{length}"])) for length in LENGTHS}

    def logs(self, units: Sequence[Scores]) -> Floats:
        """Logarithms of the factors of one window, one for each bet; its units join those before."""
        total = np.zeros(BETS)
        for length, values in units:
            rank = self._rank(self._scores[length], float(np.mean(values)))
            total += np.log(1 - _STAKES + _STAKES * (rank <= _LEVELS) / _LEVELS)
        return total

    def _rank(self, scores: list[float], score: float) -> float:
        """The share of units that are as high, this one included: uniform if nothing has changed."""
        if len(scores) >= _MOST:
            # What was bet stays; ranks begin anew.
            scores.clear()
        left, right = bisect.bisect_left(scores, score), bisect.bisect_right(scores, score)
        above, same = len(scores) - right, right - left
        rank = (above + self._random.random() * (same + 1)) / (len(scores) + 1)
        scores.insert(right, score)
        return float(rank)
