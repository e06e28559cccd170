"""The detectors of one release's traffic, and the promise they keep together.

outlying     units that are strange compared with all before them here: a later change, also of a part of the traffic
reference    units that are strange compared with the baseline: a change that was there from the start
changed      units that are more like the traffic of the 4 windows before than a document of the baseline usually is:
             a gentle change, or traffic that has become a part of what it was
novel        units that are more like the traffic of the 8 windows before than hardly any document is

All false alarms that are promised are divided among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenario_model.drift.agreement import SHARES, Name, threshold
from scenario_model.drift.conformal import BETS, Ranks
from scenario_model.drift.evidence import Detector
from scenario_model.drift.exceedance import Exceedance
from scenario_model.drift.scores import Likeness, Scores, Strangeness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from scenario_model.drift.baseline import Baseline
    from scenario_model.drift.scores import Unit

_PERIODS: dict[Name, int] = {"changed": 4, "novel": 8}
_QUANTILES: dict[Name, tuple[float, ...]] = {
    "reference": (0.8, 0.97, 1.0),
    "changed": (0.5, 0.8),
    "novel": (0.95, 1.0),
}
UNLUCKY = 0.01
"""The chance that a baseline is so unlucky a sample that `reference` promises nothing."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One detector after a window."""

    name: Name
    value: float
    threshold: float

    @property
    def alarms(self) -> bool:
        """Whether it has seen enough."""
        return self.value >= self.threshold


class _Recent:
    """Learns from some windows, and bets on as many that follow."""

    def __init__(
        self, baseline: Baseline, windows: int, quantiles: Sequence[float], detector: Detector, chance: float
    ) -> None:
        """`chance`: that what was learnt in one window makes unfair bets."""
        self._baseline, self._windows, self._quantiles = baseline, windows, quantiles
        self.detector = detector
        self._chance = chance * windows
        self._units: list[Unit] = []
        self._seen = 0
        self._likeness: Likeness | None = None
        self._bets: Exceedance | None = None

    def window(self, units: Sequence[Unit]) -> None:
        logs = np.zeros(Exceedance.bets(self._quantiles))
        if self._likeness and self._bets:
            logs = self._bets.logs([self._likeness.of(client, pieces) for client, pieces in units])
        self.detector.window(logs)
        self._units += units
        self._seen += 1
        if self._seen == self._windows:
            self._learn()

    def _learn(self) -> None:
        if self._units:
            self._likeness = Likeness.learnt(self._baseline, self._units)
            self._bets = Exceedance(self._likeness.of_baseline(), self._quantiles, self._chance)
        self._units, self._seen = [], 0


class Detectors:
    """All of them, for one release. Without a baseline only `outlying` could be, and that has no scores: so none."""

    def __init__(self, baseline: Baseline, windows: float, random: np.random.Generator | None = None) -> None:
        """`windows`: how many of them there are at least for each false alarm, in the mean."""
        self.baseline = baseline
        self._sums = {name: Detector(_bets(name), threshold(name, windows)) for name in SHARES}
        self._strangeness = Strangeness(baseline)
        self._reference = Exceedance(self._strangeness.of_baseline(), _QUANTILES["reference"], UNLUCKY)
        self._ranks = Ranks(random or np.random.default_rng())
        # Half of what a detector of recent traffic may alarm falsely is for what it has learnt.
        self._recent = {
            name: _Recent(baseline, period, _QUANTILES[name], self._sums[name], SHARES[name] / windows / 2)
            for name, period in _PERIODS.items()
        }

    def window(self, units: Sequence[Unit]) -> list[Signal]:
        """Count one window's units, each with its client; their tokens are the baseline's columns."""
        strange = [self._strangeness.of(pieces) for _, pieces in units]
        self._sums["outlying"].window(self._ranks.logs(strange))
        self._sums["reference"].window(self._reference.logs(strange))
        for recent in self._recent.values():
            recent.window(units)
        return self.signals()

    def signals(self) -> list[Signal]:
        """Where each detector is."""
        return [Signal(name, each.value, each.threshold) for name, each in self._sums.items()]

    @property
    def unseen(self) -> float:
        """The share of units that may be stranger than all of the baseline's without being evidence."""
        return float(self._reference.largest_bounds[-1])

    @property
    def fewest(self) -> int:
        """How many units in one window, all of them strange, make `reference` alarm."""
        one = self._reference.logs([Scores(self._reference.lengths[-1], np.array([np.inf]))])
        number = 1
        while np.exp(one * number).mean() < self._sums["reference"].threshold:
            number += 1
        return number

    def state(self) -> dict[str, NDArray[np.float64]]:
        """What outlives a restart: evidence and ranks. Recent traffic does not: it is learnt anew."""
        kept = {f"sums.{name}": each.sums for name, each in self._sums.items()}
        return kept | self._ranks.state()

    def resume(self, state: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on from such a state. Raises KeyError or ValueError for another form."""
        sums = {name: np.asarray(state[f"sums.{name}"], dtype=np.float64) for name in self._sums}
        if any(sums[name].shape != each.sums.shape for name, each in self._sums.items()):
            raise ValueError("of other detectors")
        self._ranks.resume(state)
        for name, each in self._sums.items():
            each.sums = sums[name]


def _bets(name: Name) -> int:
    return Exceedance.bets(_QUANTILES[name]) if name in _QUANTILES else BETS
