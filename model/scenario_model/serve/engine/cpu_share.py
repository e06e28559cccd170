"""How many threads a step takes: one for each core that other programs leave free.

The threads of one operation wait for each other, hundreds of times a step. Where another program keeps one of
their cores busy, each wait lasts until the system's scheduler lets that thread run again: two threads beside one
busy neighbour are twenty times slower than one thread is.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import psutil

# Long against the system's ticks of 10 ms, short against an answer.
_SECONDS = 0.5
# A neighbour that always wants a core gets two thirds of one beside two threads on two cores: that counts as one.
_A_NEIGHBOUR = 0.6


class Reading(NamedTuple):
    """Seconds since some moment: of the clock, of all programs on this process's cores, of this process."""

    clock: float
    all_programs: float
    this_process: float


def usable_cores() -> set[int]:
    """Return the numbers of the cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def read() -> Reading:
    """Read the times of the usable cores."""
    usable, busy = usable_cores(), 0.0
    for number, core in enumerate(psutil.cpu_times(percpu=True)):
        if number in usable:
            # Other virtual machines are neighbours too: `steal` is what they took.
            busy += core.user + core.nice + core.system + getattr(core, "steal", 0.0)
    return Reading(time.monotonic(), busy, time.process_time())


def free_cores(cores: int, before: Reading, now: Reading) -> int:
    """Return how many of `cores` other programs left free between two readings; 1 at least."""
    others = (now.all_programs - before.all_programs) - (now.this_process - before.this_process)
    return max(1, cores - int(others / (now.clock - before.clock) + 1 - _A_NEIGHBOUR))


class CpuShare:
    """The number of threads that suits now; looked at again every half second."""

    def __init__(self, most: int) -> None:
        """most: threads on a quiet machine."""
        self.threads = self._most = most
        self._before = read()

    def update(self) -> int:
        """Return the number of threads for the next step."""
        if self._most > 1 and time.monotonic() - self._before.clock >= _SECONDS:
            now = read()
            self.threads = min(self._most, free_cores(len(usable_cores()), self._before, now))
            self._before = now
        return self.threads
