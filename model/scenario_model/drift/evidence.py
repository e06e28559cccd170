"""Evidence of a change at an unknown time, with a promise about false alarms that is theory and not calibration.

Units of traffic are bet on: each bet multiplies a fortune that does not grow in the mean while nothing has changed.
Fortunes of all possible beginnings are added up (Shiryaev and Roberts; as e-detectors: Shin, Ramdas, Rinaldo,
arXiv 2203.03532). The chance that the sum reaches A within T windows without a change is at most T / A.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MOST = 100.0
_HIGHEST_LOG = 600.0


class Detector:
    """The sums of several bets, side by side; their mean counts."""

    def __init__(self, bets: int, threshold: float) -> None:
        """`threshold`: where it alarms. Above a hundred times that, nothing is added, so that it can fall again."""
        self.threshold = threshold
        self.sums: Floats = np.zeros(bets)

    def window(self, logs: Floats) -> None:
        """Count one window; `logs`: each bet's logarithm of the factor by which its fortune grew in it."""
        grown = (self.sums + 1) * np.exp(np.minimum(logs, _HIGHEST_LOG))
        self.sums = np.minimum(grown, self.threshold * _MOST)

    @property
    def value(self) -> float:
        """The sum."""
        return float(self.sums.mean())

    @property
    def alarms(self) -> bool:
        """Whether it is enough."""
        return self.value >= self.threshold


def upper_bound(mean: float, units: int, chance: float) -> float:
    """The largest mean in [0, 1] of a population of which so many units have this mean.

    Wrong with at most this chance (Hoeffding's inequality in its form with the Kullback-Leibler divergence; for a mean
    of 0 it is exact: of 34 units, none above a value, up to 1 - chance^(1/34) of all may be above it).
    """
    allowed = math.log(1 / chance) / units
    low, high = mean, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if divergence(mean, middle) > allowed:
            high = middle
        else:
            low = middle
    return high


def divergence(first: float, second: float) -> float:
    """Kullback-Leibler divergence of two chances, in nats."""
    total = 0.0
    for own, other in ((first, second), (1 - first, 1 - second)):
        if own > 0:
            total += own * math.log(own / other) if other > 0 else math.inf
    return total
