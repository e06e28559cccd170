"""The record of one HTTP request, from which its log line and its metrics are made."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_model.canary.judge import Arm
    from scenario_model.serve.metrics import Metrics


@dataclass(slots=True, kw_only=True)
class Call:
    """Filled in while the request is handled. Times are of the monotonic clock, in seconds.

    status 499: the client disconnected before the answer started (an nginx convention). error, param: why the
    request was refused; neither is ever a client's own word. computed_at: site or cloud, once it is known; release: of
    who answers. session: the client's name for it. arm: whether the canary answers.
    """

    request_id: str
    method: str
    handler: str
    began: float = field(default_factory=time.monotonic)
    key: str | None = None
    status: int | None = None
    error: str | None = None
    param: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str | None = None
    computed_at: str = ""
    release: str = ""
    session: str = ""
    arm: Arm = "running"
    first_token: float | None = None
    last_token: float | None = None

    def begin_anew(self) -> None:
        """Another release answers, after one that did not."""
        self.arm, self.finish_reason, self.completion_tokens = "running", None, 0
        self.first_token = self.last_token = None

    def produced(self, tokens: int, metrics: Metrics) -> None:
        """Record newly generated tokens."""
        if tokens == 0:
            return
        now = time.monotonic()
        if self.last_token is None:
            self.first_token = now
            metrics.first_token.observe(now - self.began)
            metrics.prompt_tokens.inc(self.prompt_tokens)
        else:
            metrics.between_tokens((now - self.last_token) / tokens)
        metrics.generation_tokens.inc(tokens)
        self.completion_tokens += tokens
        self.last_token = now

    def ended(self, reason: str, metrics: Metrics) -> None:
        """Record the end of a generation: stop, length, abort or error."""
        self.finish_reason = reason
        metrics.finished(reason)
        metrics.request_prompt.observe(self.prompt_tokens)
        metrics.request_generation.observe(self.completion_tokens)
        metrics.whole_request.observe(time.monotonic() - self.began)
        if self.first_token is not None and self.last_token is not None and self.completion_tokens > 1:
            metrics.per_token.observe((self.last_token - self.first_token) / (self.completion_tokens - 1))

    @property
    def first_token_ms(self) -> float | None:
        """Milliseconds until the first token; None if there was none."""
        return None if self.first_token is None else round((self.first_token - self.began) * 1000, 1)

    def fields(self) -> dict[str, Any]:
        """Return the log line's fields; times in milliseconds."""
        return {
            "request_id": self.request_id,
            "key": self.key,
            "method": self.method,
            "path": self.handler,
            "status": self.status,
            "error": self.error,
            "param": self.param,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "finish_reason": self.finish_reason,
            "computed_at": self.computed_at or None,
            "first_token_ms": self.first_token_ms,
            "duration_ms": round((time.monotonic() - self.began) * 1000, 1),
        }
