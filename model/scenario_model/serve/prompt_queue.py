"""The one thread that tokenizes, behind a bounded queue."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from scenario_model.serve.engine.interface import QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
# Weight of the newest duration in the average, and its initial value in seconds.
_NEW = 0.1
_FIRST_GUESS = 0.01


class PromptQueue:
    """Runs jobs one after the other: a long prompt does not delay streams, and the tokenizer has one user."""

    def __init__(self, places: int) -> None:
        """At most `places` jobs wait or run."""
        self._places, self._taken = places, 0
        self._usual_seconds = _FIRST_GUESS
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    async def run(self, job: Callable[[], Result], spent: Callable[[float], None]) -> Result:
        """Run a job; `spent` receives its processor seconds. Raises QueueFull, and the job's own errors."""
        if self._taken >= self._places:
            raise QueueFull(max(1.0, self._taken * self._usual_seconds))
        seconds = 0.0

        def timed() -> Result:
            nonlocal seconds
            began, began_here = time.monotonic(), time.thread_time()
            try:
                return job()
            finally:
                self._usual_seconds += _NEW * (time.monotonic() - began - self._usual_seconds)
                seconds = time.thread_time() - began_here

        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, timed)
        finally:
            self._taken -= 1
            spent(seconds)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
