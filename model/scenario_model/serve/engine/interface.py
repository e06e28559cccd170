"""The interface between gateway and engine: requests, deltas, statistics, refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self

from scenario_model.errors import InputError, ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FinishReason = Literal["stop", "length"]


class QueueFull(ScenarioModelError):  # noqa: N818
    """The request queue is full; `retry_after_s`: seconds until a place is likely to be free."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("the request queue is full", remedy=f"retry in {retry_after_s:.0f} s")


class EngineStopped(ScenarioModelError):  # noqa: N818
    """The engine accepts no new requests: it is draining, or has been stopped."""


class EngineFailed(ScenarioModelError):  # noqa: N818
    """A step of the model, or its process, failed: ends all its requests."""


class Drained(ScenarioModelError):  # noqa: N818
    """The drain's deadline passed before this answer was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One prompt (token ids) and its generation parameters.

    max_tokens: at most this many new tokens. temperature 0 is greedy. top_p in (0, 1].
    seed: same seed, same answer, whatever else is in the batch (up to the rounding of batched arithmetic).
    stop: the answer ends
    before the first of these. ignore_eos: continue past the model's end-of-text token.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    def check(self, vocabulary: int, context: int) -> None:
        """Raise InputError unless its tokens are valid and prompt and answer fit into the context."""
        if not self.prompt or self.max_tokens < 1:
            raise InputError("a prompt of at least one token and max_tokens of at least 1 are needed")
        if not 0 <= min(self.prompt) <= max(self.prompt) < vocabulary:
            raise InputError(f"the prompt has a token outside the model's vocabulary of {vocabulary}")
        if len(self.prompt) + self.max_tokens > context:
            raise InputError(
                f"{len(self.prompt)} prompt tokens and {self.max_tokens} new ones exceed "
                f"the context of {context} tokens",
                remedy="shorten the prompt or lower max_tokens",
            )


@dataclass(frozen=True, slots=True)
class Delta:
    """News since the last one.

    text never contains half a character or a possible start of a stop string (so it may be empty);
    tokens counts the tokens generated for it; finish_reason is set on the last one.
    """

    text: str
    tokens: int
    finish_reason: FinishReason | None


class TextLoss(NamedTuple):
    """The nats of a text's tokens but the first, None if they were not all computed; and the seconds of computing."""

    nats: float | None
    seconds: float

    @classmethod
    def none(cls) -> Self:
        """Of a text that was not begun."""
        return cls(None, 0.0)


class Generation(Protocol):
    """An answer in progress: an async iterator of `Delta`.

    Iteration raises EngineFailed or Drained if the answer cannot be completed. After `cancel` it ends without
    error.
    """

    prompt_tokens: int

    def __aiter__(self) -> AsyncIterator[Delta]: ...
    async def __anext__(self) -> Delta: ...
    def cancel(self) -> None:
        """Release the slot by the next step; may be called at any time, repeatedly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """A snapshot. Times are in seconds; `*_total` only grow.

    drafts: number of drafts; tokens_drafted: their tokens; tokens_accepted: correct ones. cache_usage: part
    of the key/value cache in use, 0 to 1. last_step_seconds: None if unknown.
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
