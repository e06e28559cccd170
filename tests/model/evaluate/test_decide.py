"""The verdict: what passes, what fails, and in which words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scenario_model.evaluate.decide import Scores, decide
from scenario_model.evaluate.settings import GateSettings

SIZES = [1000 + 10 * number for number in range(40)]


def scores(change: float, *, noise: float = 0.01, documents: int = 40, seed: int = 1) -> Scores:
    """Documents on which the candidate needs more bits than the parent by `change`, give or take `noise`."""
    random = np.random.default_rng(seed)
    sizes = SIZES[:documents]
    parent = [size * float(random.normal(1.2, 0.2)) for size in sizes]
    candidate = [bits * (1 + change + float(random.normal(0, noise))) for bits in parent]
    return Scores(bytes=sizes, parent=parent, candidate=candidate)


def test_better_on_the_new_and_not_worse_on_the_old_passes() -> None:
    verdict = decide(scores(-0.05), scores(0.0), GateSettings())
    assert verdict["passed"] is True
    assert verdict["reasons"] == []
    new = verdict["new_domain"]
    assert new["interval"][0] < new["difference"] < new["interval"][1] < 0
    assert new["difference"] == pytest.approx(new["candidate"] - new["parent"])


def test_no_gain_on_the_new_domain_fails_with_the_figures() -> None:
    verdict = decide(scores(0.0), scores(0.0), GateSettings())
    assert verdict["passed"] is False
    (reason,) = verdict["reasons"]
    assert reason.startswith("new domain: ")
    assert f"{verdict['new_domain']['interval'][1]:+.4f}" in reason


def test_a_gain_that_may_be_chance_fails() -> None:
    verdict = decide(scores(-0.01, noise=0.2), scores(0.0), GateSettings())
    assert verdict["new_domain"]["difference"] < 0 < verdict["new_domain"]["interval"][1]
    assert verdict["passed"] is False


def test_a_gain_below_the_minimum_fails() -> None:
    assert decide(scores(-0.05), scores(0.0), GateSettings(minimum_gain=0.01))["passed"]
    assert not decide(scores(-0.05), scores(0.0), GateSettings(minimum_gain=0.2))["passed"]


def test_forgetting_the_old_domain_fails_with_the_figures() -> None:
    verdict = decide(scores(-0.05), scores(0.05), GateSettings())
    (reason,) = verdict["reasons"]
    assert reason.startswith("old domain: ")
    assert "must not exceed +2.00%" in reason
    assert decide(scores(-0.05), scores(0.05), GateSettings(old_domain_margin=0.1))["passed"]


def test_too_few_documents_to_judge_by_fails_however_good_the_figures() -> None:
    verdict = decide(scores(-0.5, documents=4), scores(0.0), GateSettings())
    assert verdict["reasons"] == ["new domain: only 4 documents, too few for a verdict; hold out at least 5"]


def test_a_figure_that_is_not_a_number_fails_both_ways() -> None:
    broken = Scores(bytes=SIZES, parent=[1.0] * 40, candidate=[math.nan] * 40)
    verdict = decide(broken, broken, GateSettings())
    assert [reason[:10] for reason in verdict["reasons"]] == ["new domain", "old domain"]


def test_the_same_scores_and_seed_give_the_same_interval() -> None:
    first, second = (decide(scores(-0.05), scores(0.0), GateSettings()) for _ in range(2))
    assert first == second
    other = decide(scores(-0.05), scores(0.0), GateSettings(seed=1))
    assert other["new_domain"]["interval"] != first["new_domain"]["interval"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 100 samples of 10 documents, true change 5 %: a 90 % interval should hold it in about 90.
    held = 0
    for seed in range(100):
        drawn = decide(
            scores(0.0),
            scores(0.05, noise=0.05, documents=10, seed=seed),
            GateSettings(confidence=0.9, resamples=500),
        )
        low, high = drawn["old_domain"]["interval"]
        held += low <= 0.05 <= high
    assert 80 <= held <= 97
