"""Bets on ranks: exactly fair, whatever the distribution is."""

from __future__ import annotations

import numpy as np

from scenario_model.drift.conformal import BETS, Ranks
from scenario_model.drift.evidence import Detector
from scenario_model.drift.scores import Scores

FOUR = 4


def one(value: float) -> Scores:
    return Scores(80, np.array([value]))


def windows(random: np.random.Generator, number: int) -> list[list[Scores]]:
    return [[one(random.standard_cauchy()) for _ in range(FOUR)] for _ in range(number)]


def test_without_a_change_the_promise_holds_for_a_distribution_without_even_a_mean() -> None:
    random, alarms = np.random.default_rng(7), 0
    for _ in range(300):
        ranks, detector = Ranks(random), Detector(BETS, 200.0)
        for units in windows(random, 20):
            detector.window(ranks.logs(units))
        alarms += detector.alarms
    assert alarms / 300 <= 20 / 200


def test_a_tenth_that_becomes_strange_is_found() -> None:
    random = np.random.default_rng(8)
    ranks, detector = Ranks(random), Detector(BETS, 25_000.0)
    for _ in range(60):
        detector.window(ranks.logs([one(random.normal()) for _ in range(16)]))
    assert not detector.alarms
    for _ in range(10):
        shifts = np.where(random.random(16) < 0.1, 9.0, 0.0)
        detector.window(ranks.logs([one(random.normal() + shift) for shift in shifts]))
    assert detector.alarms


def test_equal_scores_are_no_evidence() -> None:
    ranks, detector = Ranks(np.random.default_rng(9)), Detector(BETS, 1000.0)
    for _ in range(50):
        detector.window(ranks.logs([one(0.0)] * FOUR))
    assert not detector.alarms


def test_ranks_begin_anew_when_there_are_too_many_scores_to_keep() -> None:
    ranks = Ranks(np.random.default_rng(1))
    ranks.resume({name: np.zeros(65_536) for name in ranks.state()})
    ranks.logs([one(1.0)])
    assert [len(scores) for scores in ranks.state().values()] == [65_536, 1, 65_536, 65_536]


def test_texts_of_one_length_are_ranked_among_each_other_alone() -> None:
    ranks, detector = Ranks(np.random.default_rng(2)), Detector(BETS, 1000.0)
    for _ in range(50):
        detector.window(ranks.logs([one(0.0), Scores(40, np.ones(1) * 9)]))
    assert not detector.alarms
