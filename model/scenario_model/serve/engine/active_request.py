"""A request in the engine: turns its tokens into an answer and decides when it ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.serve.engine.interface import Delta, EngineFailed

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from scenario_model.serve.engine.generation import QueuedGeneration
    from scenario_model.serve.engine.interface import GenerationRequest
    from scenario_model.serve.engine.sampling import Sampler
    from scenario_model.serve.engine.scheduler import Chunk, Sequence
    from scenario_model.serve.engine.text import TextStream

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class ActiveRequest:
    """A request, its token sequence, and its answer. steps: number of steps that yielded tokens."""

    request: GenerationRequest
    sequence: Sequence
    sampler: Sampler
    text: TextStream
    generation: QueuedGeneration
    steps: int = 0

    def take(self, chunk: Chunk, tokens: list[int], ends: AbstractSet[int]) -> Delta | EngineFailed:
        """Add a step's tokens; the answer ends at one of `ends`, a stop string or its length.

        Tokens after the end are dropped: a draft may run past it.
        """
        self.steps += 1
        # Those before the last were correct guesses, so their keys and values are in the cache.
        self.sequence.cached += len(tokens) - 1
        if self.sequence.lookup is not None and chunk.draft:
            self.sequence.lookup.judged(len(chunk.draft), len(tokens) - 1)
        text = ""
        for count, token in enumerate(tokens, 1):
            self.sequence.tokens.append(token)
            if token in ends and not self.request.ignore_eos:
                return Delta(text + self.text.finish(), count, "stop")
            try:
                text += self.text.push(token)
            except Exception:  # noqa: BLE001 - a tokenizer error must not affect other answers
                _log.exception("a token could not be decoded")
                return EngineFailed("the tokenizer could not decode the answer")
            if self.text.stopped:
                return Delta(text, count, "stop")
            if self.sequence.generated >= self.request.max_tokens:
                return Delta(text + self.text.finish(), count, "length")
        return Delta(text, len(tokens), None)
