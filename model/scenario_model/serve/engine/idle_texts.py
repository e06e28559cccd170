"""Texts whose loss is computed while nobody asks anything, piece by piece; whoever asks does not wait for more."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

import torch

from scenario_model.serve.engine.interface import TextLoss
from scenario_model.serve.engine.scheduler import Chunk, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.serve.engine.model import Model

_PIECE = 16
"""Tokens of a step: who asks during one waits for its end."""
_MOST = 4


class IdleTexts:
    """The texts that wait. Used under the engine's lock, but for `compute`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[list[int], Future[TextLoss]]] = deque()

    def add(self, ids: list[int]) -> Future[TextLoss]:
        """Queue a text."""
        future: Future[TextLoss] = Future()
        if len(self._waiting) >= _MOST:
            future.set_result(TextLoss.none())
        else:
            self._waiting.append((ids, future))
        return future

    def next(self) -> tuple[list[int], Future[TextLoss]] | None:
        """The text that has waited longest, which waits no more."""
        while self._waiting:
            text = self._waiting.popleft()
            # Else nobody waits for it any more.
            if text[1].set_running_or_notify_cancel():
                return text
        return None

    def __bool__(self) -> bool:
        """Whether any waits."""
        return bool(self._waiting)

    def give_up(self) -> None:
        """None of those that wait will be computed."""
        while text := self.next():
            text[1].set_result(TextLoss.none())


def compute(model: Model, ids: list[int], wanted: Callable[[], bool]) -> TextLoss:
    """Compute a text, until the model is `wanted` for something else.

    Uses the cache of slot 0, so no sequence may be in it.
    """
    sequence, nats, began = Sequence(len(ids), 0, ids, slot=0), 0.0, time.monotonic()
    for start in range(0, len(ids) - 1, _PIECE):
        if wanted():
            return TextLoss(None, time.monotonic() - began)
        piece = ids[start : start + _PIECE]
        # As a draft, it has logits for each of its tokens.
        chunk = Chunk(sequence, start, len(piece), samples=True, draft=tuple(piece[1:]))
        following = ids[start + 1 : start + 1 + len(piece)]
        logits = model.step([chunk])[: len(following)].float()
        chances = torch.log_softmax(logits, dim=-1)
        nats -= float(chances[torch.arange(len(following)), following].sum())
    return TextLoss(nats, time.monotonic() - began)
