"""How well the served models know what they are asked: bits per byte of prompts, computed while nobody asks.

A canary's are those of the same texts, so that a difference between the two is one between the models.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.serve.canary import Canary
    from scenario_model.serve.engine.interface import TextLoss

_FEWEST, _MOST = 24, 128
"""Tokens of a text: of a longer prompt, the last ones."""
_KEPT, _REMEMBERED = 8, 4096
_WAIT_SECONDS = 0.5


@runtime_checkable
class ComputesLoss(Protocol):
    """An engine that can compute a loss; vLLM's cannot without computing prompts twice."""

    tokenizer: Any

    async def loss(self, ids: list[int]) -> TextLoss:
        """The nats of a text's tokens but the first, computed while nobody asks."""


class _Text(NamedTuple):
    ids: tuple[int, ...]
    tokenizer: Any


class Losses:
    """Takes prompts from the gateway, each once, and computes the loss of the latest."""

    def __init__(self, share: float, told: Callable[[float], None], canary: Canary | None) -> None:
        """`share`: of the time, that computing may take. `told`: is given the running release's bits per byte."""
        self._share, self._told, self._canary = share, told, canary
        self._texts: deque[_Text] = deque(maxlen=_KEPT)
        self._seen: OrderedDict[int, None] = OrderedDict()

    def note(self, prompt: tuple[int, ...], tokenizer: Any) -> None:
        """Take an accepted request's prompt, which is in memory until it is computed or others came."""
        ids = prompt[-_MOST:]
        digest = hash(ids)
        if len(ids) < _FEWEST or digest in self._seen:
            return
        self._seen[digest] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self._texts.append(_Text(ids, tokenizer))

    async def watch(self, running: ComputesLoss) -> None:
        """Compute, for ever, and no longer than the share of the time."""
        while True:
            spent = await self._one(running) if self._texts else 0.0
            await asyncio.sleep(max(_WAIT_SECONDS, spent * (1 / self._share - 1)))

    async def _one(self, running: ComputesLoss) -> float:
        """Compute one text, with both releases if there are two; returns the seconds of computing, also in vain."""
        text = self._texts.pop()
        # By its text, because a canary's tokenizer may be another one.
        words = text.tokenizer.decode(text.ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        bits, spent = await _bits_per_byte(running, words)
        if bits is None:
            self._texts.appendleft(text)
        elif math.isfinite(bits):
            self._told(bits)
            if self._canary and isinstance(engine := self._canary.engine, ComputesLoss):
                of_canary, more = await _bits_per_byte(engine, words)
                spent += more
                if of_canary is not None:
                    self._canary.difference(of_canary - bits if math.isfinite(of_canary) else math.inf)
        return spent


async def _bits_per_byte(engine: ComputesLoss, words: str) -> tuple[float | None, float]:
    """None if somebody asked meanwhile; and the seconds of computing."""
    ids = engine.tokenizer.encode(words, add_special_tokens=False)
    nats, seconds = await engine.loss(ids)
    return None if nats is None else nats / math.log(2) / len(words.encode()), seconds
