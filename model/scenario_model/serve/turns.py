"""Large requests of one API key are read one after the other, with pauses after those that were refused.

Reading a megabyte takes tens of milliseconds of the processor, which answers then lack. A key whose large
requests are refused spends at most a twentieth of the time on them; requests of other keys, and small ones, do not
wait. All refusals of a key leave at a bounded pace.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from scenario_model.serve.errors import ApiError
from scenario_model.serve.service import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

# Bodies up to this many bytes are read at once.
_SMALL = 4096
# After a refused request, its key's next large one waits this many times as long as it took.
_PAUSE = 19
# Receiving and decrypting, in seconds per byte: 4 ms for a megabyte.
_RECEIVED = 4e-9
_LONGEST_PAUSE = 5.0
# What a small request that is refused costs the others: 1.4 ms of the processor, and as much again of the steps that it
# comes between (benchmarks/README.md); so many seconds' worth of them may come at once.
_SMALL_SECONDS = 0.0025
_BURST_SECONDS = 2.0
_LONGEST_HOLD = 1.0
# Weight of the newest turn in the average duration, and its initial value in seconds.
_NEW = 0.1
_FIRST_GUESS = 0.1


class Pace:
    """Refusals of each key leave at most so fast that reading such requests takes a twentieth of the time.

    A client that sends the next request when it has its answer is slowed down; occasional mistakes are not.
    """

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    async def hold(self, name: str) -> None:
        """Wait before a refusal is sent; for a second at most, since the request has a connection meanwhile."""
        now = time.monotonic()
        leaves = max(now - _BURST_SECONDS, self._next.get(name, 0.0)) + _SMALL_SECONDS * (1 + _PAUSE)
        self._next[name] = min(leaves, now + _LONGEST_HOLD)
        if leaves > now:
            await asyncio.sleep(min(leaves - now, _LONGEST_HOLD))


class Turn:
    """One request's processor time, in seconds."""

    def __init__(self) -> None:
        self.spent = 0.0

    def add(self, seconds: float) -> None:
        """Count time spent in another thread."""
        self.spent += seconds

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Count the time of a block without `await`."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.add(time.thread_time() - began)


class Turns:
    """The turns of each key's large requests."""

    def __init__(self, names: Sequence[str], waiting: int) -> None:
        """At most `waiting` requests of a key wait for their turn."""
        self._keys = {name: _Key(waiting) for name in names}

    def check(self, name: str) -> None:
        """Before a body of unknown size is read: raises ApiError 503 if too many of the key wait."""
        if name in self._keys:
            self._keys[name].check()

    @contextlib.asynccontextmanager
    async def turn(self, name: str, size: int) -> AsyncIterator[Turn]:
        """Wait for the turn of a body of `size` bytes. Raises ApiError 503 if too many wait."""
        turn = Turn()
        if size <= _SMALL or name not in self._keys:
            yield turn
            return
        turn.add(size * _RECEIVED)
        async with self._keys[name].alone(turn):
            yield turn


class _Key:
    def __init__(self, waiting: int) -> None:
        self._places, self._waiting = waiting, 0
        self._free_at, self._usual_wait = 0.0, _FIRST_GUESS
        self._one = asyncio.Lock()

    def check(self) -> None:
        if self._waiting >= self._places:
            pause = max(0.0, self._free_at - time.monotonic())
            raise unavailable(
                "The server is busy with large requests of this API key.",
                pause + self._waiting * self._usual_wait,
            )

    @contextlib.asynccontextmanager
    async def alone(self, turn: Turn) -> AsyncIterator[None]:
        self.check()
        async with contextlib.AsyncExitStack() as held:
            self._waiting += 1
            try:
                await held.enter_async_context(self._one)
                began = time.monotonic()
                await asyncio.sleep(max(0.0, self._free_at - began))
            finally:
                self._waiting -= 1
            try:
                yield
            except ApiError:
                self._free_at = time.monotonic() + min(_PAUSE * turn.spent, _LONGEST_PAUSE)
                raise
            finally:
                self._usual_wait += _NEW * (time.monotonic() - began - self._usual_wait)
