"""Bets against a fixed reference: fair whatever it is short of."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_model.drift.exceedance import Exceedance
from scenario_model.drift.scores import Scores

QUANTILES = (0.5, 0.9, 1.0)


def bets(random: np.random.Generator, units: int, chance: float = 0.01) -> Exceedance:
    return Exceedance(drawn(random, units), QUANTILES, chance)


def drawn(random: np.random.Generator, units: int, shift: float = 0.0, length: int = 64) -> list[Scores]:
    return [Scores(length, random.normal(shift, size=3)) for _ in range(units)]


@pytest.mark.parametrize("units", [12, 200])
def test_a_small_reference_is_not_mistaken_for_the_truth_however_long_one_looks(units: int) -> None:
    random, unlucky = np.random.default_rng(3), 0
    for _ in range(20):
        made = bets(random, units)
        grown = sum(made.logs(drawn(random, 16)) for _ in range(100))
        unlucky += bool((grown > np.log(1000)).any())
    assert unlucky <= 1


def test_units_that_score_higher_are_found() -> None:
    random = np.random.default_rng(4)
    grown = bets(random, 100).logs(drawn(random, 16, 3.0))
    assert grown.max() > np.log(10_000)
    assert len(grown) == Exceedance.bets(QUANTILES)


def test_a_long_unit_has_no_more_weight_than_a_short_one() -> None:
    random = np.random.default_rng(5)
    made = bets(random, 50)
    assert made.logs([Scores(64, np.full(8, 9.0))]) == pytest.approx(made.logs([Scores(64, np.full(1, 9.0))]))


def test_a_window_without_units_says_nothing() -> None:
    assert not bets(np.random.default_rng(6), 20).logs([]).any()


def test_short_texts_which_vary_more_are_compared_with_short_ones_alone() -> None:
    random = np.random.default_rng(7)
    short = [Scores(32, random.normal(0, 5, size=3)) for _ in range(50)]
    made = Exceedance([*drawn(random, 50), *short], QUANTILES, 0.01)
    usual = [Scores(32, random.normal(0, 5, size=3)) for _ in range(200)]
    assert made.logs(usual).max() < np.log(1000)
    assert made.logs([Scores(64, each.values) for each in usual]).max() > np.log(1000)
    assert not made.logs([Scores(128, np.full(3, 99.0))]).any(), "nothing is known of that length"
