"""A step's threads leave the cores to other programs that are busy on them."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from scenario_model.serve.engine import cpu_share
from scenario_model.serve.engine.cpu_share import CpuShare, Reading, free_cores, read


@pytest.mark.parametrize(
    ("cores", "others", "own", "free"),
    [
        (2, 0.0, 2.0, 2),
        (2, 0.3, 1.7, 2),  # what any machine does besides
        (2, 0.67, 1.33, 1),  # two threads and one neighbour share two cores
        (2, 1.0, 1.0, 1),
        (2, 2.0, 0.0, 1),
        (2, -0.1, 2.1, 2),  # both clocks tick
        (64, 1.0, 63.0, 63),
        (64, 10.2, 20.0, 54),
        (1, 1.0, 0.5, 1),
    ],
)
def test_each_core_that_others_keep_busy_takes_a_thread(
    cores: int, others: float, own: float, free: int
) -> None:
    seconds = 0.5
    now = Reading(100 + seconds, 7 + (others + own) * seconds, 3 + own * seconds)
    assert free_cores(cores, Reading(100, 7, 3), now) == free


def test_threads_come_back_when_the_neighbour_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([Reading(0, 0, 0), Reading(1, 1, 0), Reading(2, 3, 1), Reading(3, 3, 1)])
    monkeypatch.setattr(cpu_share, "read", lambda: next(readings))
    monkeypatch.setattr(cpu_share, "usable_cores", lambda: {0, 1})
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    share = CpuShare(2)
    assert [share.threads, share.update(), share.update(), share.update()] == [2, 1, 1, 2]


def test_a_number_of_threads_that_was_set_is_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([Reading(0, 0, 0), Reading(1, 4, 0)])
    monkeypatch.setattr(cpu_share, "read", lambda: next(readings))
    monkeypatch.setattr(cpu_share, "usable_cores", lambda: set(range(64)))
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert CpuShare(4).update() == 4


def test_a_busy_neighbour_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            before = read()
            time.sleep(1)
            now = read()
        finally:
            neighbour.kill()
    others = now.all_programs - before.all_programs - now.this_process + before.this_process
    assert others > 0.5  # all of a core on a quiet machine
