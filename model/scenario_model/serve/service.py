"""The release being served and its readiness: the state shared by all handlers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol

from scenario_model.serve.engine.interface import GenerationRequest
from scenario_model.serve.errors import ApiError
from scenario_model.serve.prompts import PromptEncoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scenario_model.serve.engine.interface import EngineStatistics, Generation

# A loading server is usually ready soon; a draining one is gone, and its successor has to load.
_RETRY_SECONDS = 5.0
# Clients usually wait ten minutes.
_LOADING_SECONDS = 300.0
_ENTER_AT_ONCE = 8


class TokenEngine(Protocol):
    """The gateway's interface of an engine; implemented by the bundled `Engine`."""

    tokenizer: Any
    max_context: int

    async def submit(self, request: GenerationRequest) -> Generation:
        """Accept a request. Raises QueueFull, EngineStopped, EngineFailed or InputError."""

    def statistics(self) -> EngineStatistics:
        """Return a snapshot."""


class RunningEngine(TokenEngine, Protocol):
    """The engine interface needed here, in addition to the gateway's."""

    def start(self) -> None:
        """Start accepting requests; called in the event loop."""

    async def drain(self, seconds: float) -> None:
        """Accept no new requests and finish accepted ones; those left after `seconds` are aborted."""

    def stop(self) -> None:
        """Stop at once."""


class Service:
    """A verified release and the engine that runs it.

    States: loading (no engine yet) → ready (a token was produced) → leaving (a connection's next answer is its
    last) → draining (no new requests). `not_ready` describes them.
    """

    def __init__(self, name: str, release: str, waiting_prompts: int = 64, *, alone: bool = False) -> None:
        """`alone`: no other server answers while this one loads."""
        self.name, self.release, self.alone = name, release, alone
        self._waiting_prompts = waiting_prompts
        self.engine: TokenEngine | None = None
        self.encoder: PromptEncoder | None = None
        self.created = int(time.time())
        self.leaving = self.draining = False
        self._proven = False
        # Whether loading has ended, well or not.
        self._settled = asyncio.Event()
        self._entrance = asyncio.Semaphore(_ENTER_AT_ONCE)

    async def attach(self, engine: TokenEngine) -> None:
        """Put a started engine into service once it has produced a token. Raises the engine's errors."""
        encoder = PromptEncoder(engine.tokenizer, engine.max_context, self._waiting_prompts)
        prompt = await encoder.completion("Hello") or (0,)
        request = GenerationRequest(prompt=prompt, max_tokens=1, temperature=0.0, ignore_eos=True)
        produced = [delta async for delta in await engine.submit(request)]
        if sum(delta.tokens for delta in produced) != 1:
            raise RuntimeError("the engine did not produce a token")
        self.engine, self.encoder, self._proven = engine, encoder, True
        self._settled.set()

    def not_ready(self) -> str | None:
        """Why no request can be answered now; None if it can."""
        if self.draining:
            return "draining: the server is shutting down"
        if not self._proven or self.engine is None:
            return "loading: the model has not produced a token yet"
        state = self.engine.statistics().state
        return None if state == "running" else f"{state}: the engine is not running"

    @contextlib.asynccontextmanager
    async def entry(self) -> AsyncIterator[bool]:
        """A request's way in: it waits while the model loads, if no other server could answer meanwhile.

        Those that have waited then enter a few at a time, so that they do not overrun the queues together. Gives
        whether this one has waited, and may wait on for its place.
        """
        if not self.alone or self._settled.is_set():
            yield False
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOADING_SECONDS):
                await self._settled.wait()
        async with self._entrance:
            yield True

    def give_up(self) -> None:
        """The model will not be loaded: no longer let requests wait for it."""
        self.leaving = self.draining = True
        self._settled.set()

    def require(self) -> tuple[TokenEngine, PromptEncoder]:
        """Return the engine and its encoder. Raises ApiError 503 with Retry-After if not ready."""
        reason = self.not_ready()
        if reason is not None or self.engine is None or self.encoder is None:
            raise unavailable(f"Not ready ({reason}).")
        return self.engine, self.encoder


def unavailable(message: str, retry_after: float = _RETRY_SECONDS) -> ApiError:
    """Build the 503 with Retry-After."""
    return ApiError(503, message, code="unavailable", retry_after=retry_after)
