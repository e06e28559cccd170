"""The release being served and its readiness: the state shared by all handlers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from scenario_model.serve.engine.interface import GenerationRequest
from scenario_model.serve.errors import ApiError
from scenario_model.serve.prompts import PromptEncoder

if TYPE_CHECKING:
    from scenario_model.serve.engine.interface import EngineStatistics, Generation

# A loading server is usually ready soon; a draining one is gone, and its successor has to load.
_RETRY_SECONDS = 5.0


class TokenEngine(Protocol):
    """The gateway's interface of an engine; implemented by the bundled `Engine`."""

    tokenizer: Any
    max_context: int

    async def submit(self, request: GenerationRequest) -> Generation:
        """Accept a request. Raises QueueFull, EngineStopped, EngineFailed or InputError."""

    def statistics(self) -> EngineStatistics:
        """Return a snapshot."""


class Service:
    """A verified release and the engine that runs it.

    States: loading (no engine yet) → ready (a token was produced) → draining. `not_ready` describes them.
    """

    def __init__(self, name: str, release: str, waiting_prompts: int = 64) -> None:
        self.name, self.release = name, release
        self._waiting_prompts = waiting_prompts
        self.engine: TokenEngine | None = None
        self.encoder: PromptEncoder | None = None
        self.created = int(time.time())
        self.draining = False
        self._proven = False

    async def attach(self, engine: TokenEngine) -> None:
        """Put a started engine into service once it has produced a token. Raises the engine's errors."""
        encoder = PromptEncoder(engine.tokenizer, engine.max_context, self._waiting_prompts)
        prompt = await encoder.completion("Hello") or (0,)
        request = GenerationRequest(prompt=prompt, max_tokens=1, temperature=0.0, ignore_eos=True)
        produced = [delta async for delta in await engine.submit(request)]
        if sum(delta.tokens for delta in produced) != 1:
            raise RuntimeError("the engine did not produce a token")
        self.engine, self.encoder, self._proven = engine, encoder, True

    def not_ready(self) -> str | None:
        """Why no request can be answered now; None if it can."""
        if self.draining:
            return "draining: the server is shutting down"
        if not self._proven or self.engine is None:
            return "loading: the model has not produced a token yet"
        state = self.engine.statistics().state
        return None if state == "running" else f"{state}: the engine is not running"

    def require(self) -> tuple[TokenEngine, PromptEncoder]:
        """Return the engine and its encoder. Raises ApiError 503 with Retry-After if not ready."""
        reason = self.not_ready()
        if reason is not None or self.engine is None or self.encoder is None:
            raise unavailable(f"Not ready ({reason}).")
        return self.engine, self.encoder


def unavailable(message: str, retry_after: float = _RETRY_SECONDS) -> ApiError:
    """Build the 503 with Retry-After."""
    return ApiError(503, message, code="unavailable", retry_after=retry_after)
