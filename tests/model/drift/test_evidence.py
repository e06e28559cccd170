"""The promise: without a change, a threshold is reached within T windows with a chance of at most T / threshold."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_model.drift.evidence import Detector, divergence, upper_bound

FAIR = np.array([0.5, 0.5])


def test_without_a_change_it_alarms_no_more_often_than_promised() -> None:
    random, alarms, threshold, windows = np.random.default_rng(1), 0, 50.0, 25
    for _ in range(2000):
        detector = Detector(2, threshold)
        for _ in range(windows):
            won = random.random(2) < FAIR
            detector.window(np.log(np.where(won, 1.6, 0.4)))
            if detector.alarms:
                alarms += 1
                break
    assert 0 < alarms / 2000 <= windows / threshold


def test_what_it_gained_it_loses_again_when_traffic_is_as_it_was() -> None:
    detector = Detector(1, 1000.0)
    for _ in range(100):
        detector.window(np.array([1.0]))
    assert detector.alarms
    for _ in range(12):
        detector.window(np.array([-1.0]))
    assert not detector.alarms


@pytest.mark.parametrize("units", [12, 34, 1000])
def test_of_units_none_of_which_is_above_a_value_a_share_may_still_be(units: int) -> None:
    assert upper_bound(0.0, units, 0.01) == pytest.approx(1 - 0.01 ** (1 / units))


def test_a_bound_is_wrong_no_more_often_than_it_says() -> None:
    random = np.random.default_rng(2)
    for true in (0.03, 0.2, 0.5):
        shares = random.binomial(34, true, size=1000) / 34
        wrong = [upper_bound(share, 34, 0.05) < true for share in np.unique(shares)]
        missed = sum(
            np.sum(shares == share)
            for share, is_wrong in zip(np.unique(shares), wrong, strict=True)
            if is_wrong
        )
        assert missed / 1000 <= 0.05


def test_chances_that_are_equal_do_not_differ_and_impossible_ones_do_endlessly() -> None:
    assert divergence(0.3, 0.3) == 0
    assert divergence(1.0, 0.5) == pytest.approx(np.log(2))
    assert divergence(0.5, 0.0) == np.inf
