"""Assigns slots, and plans the next step. No torch, no threads, no clock."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scenario_model.serve.engine.prompt_lookup import PromptLookup


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and the tokens generated from it.

    cached: number of `tokens` with keys and values in the cache.
    A generating sequence has exactly one token that is not cached yet: the newest.
    lookup: source of drafts; None: no drafts.
    """

    prompt_length: int
    max_tokens: int
    tokens: list[int]
    slot: int = -1
    cached: int = 0
    lookup: PromptLookup | None = None

    @property
    def generated(self) -> int:
        """Tokens generated so far."""
        return len(self.tokens) - self.prompt_length


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens [start, start + length) of a sequence. `samples`: the last of them yields the next token.

    draft: guesses of the following tokens, included in `length`; the token before them and each of them
    yields a next token.
    """

    sequence: Sequence
    start: int
    length: int
    samples: bool
    draft: tuple[int, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """The tokens to compute."""
        known = self.sequence.tokens[self.start : self.start + self.length - len(self.draft)]
        return known + list(self.draft)


@dataclass(slots=True)
class Scheduler:
    """Continuous batching over a fixed number of slots, given out first come, first served.

    Each step takes one token of every generating sequence, for some with a draft, and up to `prefill_tokens`
    prompt tokens of the others, in fair shares. Chunks are ordered: single tokens, drafts, prompts. The
    lowest free slot is assigned first, to keep used slots contiguous.
    """

    slots: int
    prefill_tokens: int
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    _free: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._free = list(range(self.slots))

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence for a slot."""
        self.waiting.append(sequence)

    def plan(self) -> list[Chunk]:
        """Assign free slots, then plan the next step: empty if there is nothing to do."""
        while self.waiting and self._free:
            sequence = self.waiting.popleft()
            sequence.slot = heapq.heappop(self._free)
            self.running.append(sequence)
        generating = [s for s in self.running if s.generated]
        decoding = [_decode(sequence, len(generating)) for sequence in generating]
        decoding.sort(key=lambda chunk: (len(chunk.draft) > 0, chunk.sequence.slot))
        return decoding + self._fill([s for s in self.running if not s.generated])

    def _fill(self, sequences: list[Sequence]) -> list[Chunk]:
        """Share the prompt tokens of a step: others get what a short prompt does not need of its share."""
        chunks, budget = [], self.prefill_tokens
        sequences.sort(key=lambda sequence: sequence.prompt_length - sequence.cached)
        for others, sequence in zip(reversed(range(len(sequences))), sequences, strict=True):
            left = sequence.prompt_length - sequence.cached
            length = min(left, budget, max(1, budget // (others + 1)))
            if length:
                chunks.append(Chunk(sequence, sequence.cached, length, samples=length == left))
                budget -= length
        return chunks

    def computed(self, chunks: Iterable[Chunk]) -> None:
        """Record that the keys and values of these chunks are cached; drafts are not yet verified."""
        for chunk in chunks:
            sequence = chunk.sequence
            sequence.cached = chunk.start + chunk.length - len(chunk.draft)
            if sequence.lookup is not None:
                sequence.lookup.read(sequence.tokens, sequence.cached)

    def remove(self, sequence: Sequence) -> None:
        """Remove a sequence, wherever it is; its slot is free at once. Idempotent."""
        if sequence.slot >= 0:
            self.running.remove(sequence)
            heapq.heappush(self._free, sequence.slot)
            sequence.slot = -1
        elif sequence in self.waiting:
            self.waiting.remove(sequence)


def _decode(sequence: Sequence, generating: int) -> Chunk:
    """The newest token of a sequence, with a draft if one is likely to pay off."""
    draft: tuple[int, ...] = ()
    if sequence.lookup is not None:
        at_most = sequence.max_tokens - sequence.generated - 1
        draft = sequence.lookup.draft(sequence.tokens, at_most, generating)
    return Chunk(sequence, sequence.cached, 1 + len(draft), samples=True, draft=draft)
