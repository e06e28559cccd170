"""The judge of canaries: what is no worse is hardly ever stopped, what is worse soon."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.canary.judge import MEASURES, Judge, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[random.Random], Outcome]


def usual(drawn: random.Random) -> Outcome:
    return Outcome(
        failed=drawn.random() < 0.01,
        latency=drawn.lognormvariate(-1.2, 0.5),
        pace=drawn.lognormvariate(-3.5, 0.25),
        bad=drawn.random() < 0.05,
    )


def changed(**how: Any) -> Draw:
    def draw(drawn: random.Random) -> Outcome:
        outcome = usual(drawn)
        values = {name: getattr(outcome, name) for name in ("failed", "latency", "pace", "bad")}
        return Outcome(**values | {name: how[name](drawn, values[name]) for name in how})

    return draw


def stopped(seed: int, canary: Draw, requests: int) -> tuple[int | None, list[str]]:
    """The canary's requests until it is stopped, and by which measures."""
    drawn, judge = random.Random(seed), Judge(seed=seed)
    for number in range(1, requests + 1):
        for _ in range(9):
            judge.add("running", usual(drawn))
        judge.add("canary", canary(drawn))
        if judge.worse:
            return number, list(judge.worse)
    return None, []


def test_a_canary_that_is_no_worse_is_hardly_ever_stopped() -> None:
    assert sum(stopped(seed, usual, 300)[0] is not None for seed in range(60)) <= 3


def test_one_that_is_better_is_not_stopped_either() -> None:
    better = changed(latency=lambda _, value: value * 0.7, failed=lambda *_: False)
    assert [stopped(seed, better, 200)[0] for seed in range(10)] == [None] * 10


@pytest.mark.parametrize(
    ("measure", "canary", "within"),
    [
        ("errors", changed(failed=lambda drawn, _: drawn.random() < 0.06), 1000),
        ("latency", changed(latency=lambda _, value: value * 1.5), 250),
        ("pace", changed(pace=lambda _, value: value * 1.2), 200),
        ("feedback", changed(bad=lambda drawn, _: drawn.random() < 0.25), 500),
    ],
)
def test_one_that_is_worse_is_stopped_and_by_what(measure: str, canary: Draw, within: int) -> None:
    for seed in range(3):
        number, measures = stopped(seed, canary, within)
        assert number is not None
        assert measure in measures


@pytest.mark.parametrize(("worse_by", "within"), [(0.05, 1500), (0.2, 80)])
def test_one_that_knows_texts_less_well_is_stopped_by_the_difference(worse_by: float, within: int) -> None:
    for seed in range(5):
        drawn, judge = random.Random(seed), Judge()
        for _ in range(within):
            judge.difference(drawn.gauss(worse_by, 0.2))
        assert judge.worse == ["loss"]


def test_differences_that_cancel_out_or_that_nobody_notices_stop_nothing() -> None:
    for seed in range(30):
        drawn, judge, same = random.Random(seed), Judge(), Judge()
        for _ in range(2000):
            judge.difference(drawn.gauss(0.0, 0.2))
            same.difference(0.005)
        assert (judge.worse, same.worse) == ([], [])


def test_one_strange_text_stops_no_canary() -> None:
    judge = Judge()
    for difference in (50.0, float("inf")):
        judge.difference(difference)
    assert judge.worse == []


def test_a_worse_tail_is_found_although_the_middle_is_the_same() -> None:
    worse = changed(latency=lambda drawn, value: value * 20 if drawn.random() < 0.3 else value)
    assert stopped(1, worse, 400)[1] == ["latency"]


def test_milliseconds_that_nobody_notices_stop_no_fast_model() -> None:
    """A second engine in the same server that is asked less is a little slower, whatever it has loaded."""
    drawn, judge = random.Random(5), Judge()
    for _ in range(500):
        for _ in range(3):
            judge.add("running", Outcome(latency=drawn.gauss(0.006, 0.001), pace=drawn.gauss(0.003, 0.0005)))
        judge.add("canary", Outcome(latency=drawn.gauss(0.012, 0.001), pace=drawn.gauss(0.004, 0.0005)))
    assert judge.worse == []


def test_what_is_not_known_decides_nothing() -> None:
    judge = Judge()
    for _ in range(1000):
        judge.add("canary", Outcome(failed=True))
        judge.add("running", Outcome())
    assert (judge.worse, judge.compared) == ([], 0)


def test_a_release_that_always_fails_beside_one_that_does_not_is_stopped_at_once() -> None:
    judge = Judge()
    for _ in range(8):
        for _ in range(9):
            judge.add("running", Outcome(failed=False))
        judge.add("canary", Outcome(failed=True))
    assert judge.worse == ["errors"]


def test_it_goes_on_from_what_another_process_had() -> None:
    first, drawn = Judge(), random.Random(3)
    for _ in range(50):
        first.add("running", usual(drawn))
        first.add("canary", usual(drawn))
    second = Judge()
    second.resume(first.compared, {name: list(each.logs) for name, each in first.fortunes.items()})
    assert {name: second.fortunes[name].value for name in MEASURES} == pytest.approx(
        {name: first.fortunes[name].value for name in MEASURES}
    )
    with pytest.raises(KeyError):
        second.resume(0, {})
