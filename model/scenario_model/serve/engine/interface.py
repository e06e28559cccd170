"""What the HTTP part and the engine say to each other: requests, deltas, statistics, refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from scenario_model.errors import InputError, ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FinishReason = Literal["stop", "length"]


class QueueFull(ScenarioModelError):  # noqa: N818
    """The request queue is full; `retry_after_s` (seconds) is when one is likely to be free."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("the request queue is full", remedy=f"ask again in {retry_after_s:.0f} s")


class EngineStopped(ScenarioModelError):  # noqa: N818
    """The engine takes no new work: it is draining, or has been stopped."""


class EngineFailed(ScenarioModelError):  # noqa: N818
    """A step of the model, or the process that runs it, failed: all its requests end with this."""


class Drained(ScenarioModelError):  # noqa: N818
    """The drain's deadline came before this request had its first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One prompt (token ids) and how to go on from it.

    max_tokens: at most this many new tokens. temperature 0 is greedy. top_p in (0, 1].
    seed: same seed, same answer, whatever else is in the batch (up to the rounding of batched arithmetic).
    stop: the answer ends before the first of these. ignore_eos: go on past the model's end-of-text token.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    def check(self, vocabulary: int, context: int) -> None:
        """Raise InputError unless its tokens are the model's and prompt and answer fit into the context."""
        if not self.prompt or self.max_tokens < 1:
            raise InputError("a prompt of at least one token and max_tokens of at least 1 are needed")
        if not 0 <= min(self.prompt) <= max(self.prompt) < vocabulary:
            raise InputError(f"the prompt has a token that is not one of the model's {vocabulary}")
        if len(self.prompt) + self.max_tokens > context:
            raise InputError(
                f"{len(self.prompt)} prompt tokens and {self.max_tokens} new ones are more than "
                f"the context of {context} tokens",
                remedy="shorten the prompt or lower max_tokens",
            )


@dataclass(frozen=True, slots=True)
class Delta:
    """What came since the last one.

    text never holds half a character nor what may be the start of a stop string (so it may be empty);
    tokens counts the tokens generated for it; finish_reason is set on the last one.
    """

    text: str
    tokens: int
    finish_reason: FinishReason | None


class Generation(Protocol):
    """An answer in the making: an async iterator of `Delta`.

    Iteration raises EngineFailed or Drained when the answer cannot be completed. After `cancel` it just ends.
    """

    prompt_tokens: int

    def __aiter__(self) -> AsyncIterator[Delta]: ...
    async def __anext__(self) -> Delta: ...
    def cancel(self) -> None:
        """Give the slot back by the next step; may be called at any time, more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """A snapshot. Times are in seconds; `*_total` only ever grow.

    drafts: how often tokens were guessed; tokens_drafted: how many; tokens_accepted: how many were right.
    cache_usage: part of the key/value cache in use, 0 to 1. last_step_seconds: None if it is not known.
    """

    state: Literal["new", "running", "draining", "stopped", "failed"]
    running: int
    waiting: int
    slots: int
    tokens_prompt_total: int
    tokens_generated_total: int
    drafts_total: int
    tokens_drafted_total: int
    tokens_accepted_total: int
    steps_total: int
    step_seconds_total: float
    last_step_seconds: float | None
    seconds_since_step: float
    cache_bytes: int
    cache_usage: float
