"""Retry-After: as long as the queue, whatever its answers are like."""

from __future__ import annotations

import random

import pytest

from scenario_model.serve.engine.throughput import Expected, Throughput

SLOTS, STEP_SECONDS = 4, 0.05


def simulate(lengths: list[int], limit: int) -> tuple[list[float], list[float]]:
    """Let answers of these lengths pass through the slots; at each step, the estimate and what was true."""
    pace = Throughput(SLOTS)
    waiting, running = list(lengths), list[list[int]]()
    estimates: list[float] = []
    while waiting or running:
        while waiting and len(running) < SLOTS:
            running.append([0, waiting.pop(0)])
        pace.note(0, STEP_SECONDS)
        for answer in running:
            answer[0] += 1
        for answer in [each for each in running if each[0] == each[1]]:
            running.remove(answer)
            pace.note_end(answer[0])
        state = [(steps, limit - steps) for steps, _ in running]
        estimates.append(pace.seconds_of_queue(state, [limit] * len(waiting), 0))
    return estimates, [(len(estimates) - step) * STEP_SECONDS for step in range(len(estimates))]


@pytest.mark.parametrize(
    ("shortest", "longest", "limit"), [(500, 500, 500), (8, 8, 2000), (300, 1500, 1500), (20, 400, 4000)]
)
def test_a_queue_of_minutes_says_so_and_a_short_one_too(shortest: int, longest: int, limit: int) -> None:
    dice = random.Random(1)
    estimates, truth = simulate([dice.randint(shortest, longest) for _ in range(60)], limit)
    # From the second round of answers on; near its end, a queue is too short to be estimated.
    begin, end = len(truth) // 5, len(truth) * 4 // 5
    for estimate, true in zip(estimates[begin:end], truth[begin:end], strict=True):
        assert true / 3 < max(estimate, 1) < max(true * 3, 3)


def test_long_answers_count_before_the_first_has_ended() -> None:
    pace = Throughput(SLOTS)
    for _ in range(200):
        pace.note(0, STEP_SECONDS)
    # 64 wait, each for up to 2,000 tokens of which nobody has seen the end: the old estimate was 4 s.
    assert pace.seconds_of_queue([(400, 1600)] * SLOTS, [2000] * 64, 0) > 600


def test_an_estimate_is_never_longer_than_the_answers_may_be_nor_than_an_hour() -> None:
    pace = Throughput(SLOTS)
    for _ in range(50):
        pace.note(0, 0.1)
    assert pace.seconds_of_queue([(4, 1)] * SLOTS, [5] * 4, 0) <= 1
    assert pace.seconds_of_queue([(9999, 9999)] * SLOTS, [10**9] * 999, 0) == 3600
    assert pace.seconds_of_queue([], [1], 100) == pytest.approx(10, rel=0.1)


def test_the_expected_size_follows_what_ended_lately() -> None:
    expected = Expected(64)
    for _ in range(60):
        expected.ended(10)
    assert expected.size() == pytest.approx(10, rel=0.1)
    assert expected.size([100]) > expected.size()
