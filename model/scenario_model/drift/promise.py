"""What detectors can promise with a baseline: how rare false alarms are, and which changes they cannot see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenario_model.drift.detectors import UNLUCKY, Detectors

if TYPE_CHECKING:
    from scenario_model.drift.baseline import Baseline


@dataclass(frozen=True, slots=True)
class Promise:
    """Of one release's detectors.

    Attributes:
        units: independent documents of the baseline.
        windows: without a change, the chance of any alarm within T windows is at most T / windows.
        unlucky: but of so many baselines, as a share, the one that was drawn may be too unlike the truth.
        unseen: the share of sessions that may be strange from the start without that being evidence.
        fewest: sessions, all of them strange, until `reference` alarms.

    """

    units: int
    windows: float
    unlucky: float
    unseen: float
    fewest: int

    def words(self, window_minutes: float) -> list[str]:
        """For a person."""
        days = self.windows * window_minutes / 60 / 24
        rarely = f"without a change, at most one alarm in {self.windows:,.0f} windows: of {window_minutes:g} minutes, "
        rarely += f"in {days:,.0f} days ({self.unlucky:.0%} of baselines may be too unlucky for that)"
        seen = f"{self.units} documents: if fewer than {self.unseen:.1%} of the sessions are foreign from the start, "
        seen += "that cannot be told from the baseline's own variety; later changes can"
        return [rarely, seen, f"{self.fewest} sessions of one window, all of them foreign, are an alarm"]


def promise(baseline: Baseline, windows: float) -> Promise:
    """What can be promised. `windows`: at least so many for each false alarm."""
    detectors = Detectors(baseline, windows, np.random.default_rng(0))
    return Promise(
        units=baseline.units,
        windows=windows,
        unlucky=UNLUCKY,
        unseen=detectors.unseen,
        fewest=detectors.fewest,
    )
