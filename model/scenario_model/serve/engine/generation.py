"""The client side of an answer: an async iterator fed by the engine's thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from scenario_model.serve.engine.interface import Delta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class QueuedGeneration:
    """One answer; everything since the last read is one `Delta`, so a slow reader gets larger ones."""

    def __init__(self, prompt_tokens: int, on_cancel: Callable[[], None]) -> None:
        """Bound to the running event loop; `on_cancel` notifies the engine."""
        self.prompt_tokens = prompt_tokens
        self.loop = asyncio.get_running_loop()
        self._on_cancel = on_cancel
        self._news: deque[Delta | BaseException] = deque()
        self._awake = asyncio.Event()
        self._ended = False

    def deliver(self, news: Delta | BaseException) -> None:
        """Receive the engine's news; called in the event loop's thread."""
        if self._ended:
            return
        self._news.append(news)
        self._awake.set()

    def cancel(self) -> None:
        """Release the slot by the next step."""
        if not self._ended:
            self._ended = True
            self._news.clear()
            self._awake.set()
            self._on_cancel()

    def __aiter__(self) -> QueuedGeneration:
        return self

    async def __anext__(self) -> Delta:
        while not self._news:
            if self._ended:
                raise StopAsyncIteration
            self._awake.clear()
            await self._awake.wait()
        deltas: list[Delta] = []
        while self._news:
            if isinstance(news := self._news[0], Delta):
                deltas.append(news)
            elif not deltas:
                self._ended = True
                self._news.clear()
                raise news
            else:
                break  # first what was generated before the error
            self._news.popleft()
        self._ended = self._ended or deltas[-1].finish_reason is not None
        return Delta("".join(d.text for d in deltas), sum(d.tokens for d in deltas), deltas[-1].finish_reason)


def deliver(news: Iterable[tuple[QueuedGeneration, Delta | BaseException]]) -> None:
    """Pass a step's news from the engine's thread: each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[QueuedGeneration, Delta | BaseException]]] = {}
    for generation, piece in news:
        by_loop.setdefault(generation.loop, []).append((generation, piece))
    for loop, pieces in by_loop.items():
        # A closed loop has no readers left.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_deliver_here, pieces)


def _deliver_here(pieces: list[tuple[QueuedGeneration, Delta | BaseException]]) -> None:
    for generation, piece in pieces:
        generation.deliver(piece)
