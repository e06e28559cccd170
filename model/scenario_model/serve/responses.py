"""Answers and stream chunks in the shapes of the OpenAI API reference (chat completions and completions)."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Answer:
    """Values common to all chunks of one answer, and the shapes that differ between the two endpoints.

    chat: `/v1/chat/completions`, else `/v1/completions`. model: as the client named it. fingerprint: the
    release, since a seed reproduces an answer only with the same weights.
    """

    chat: bool
    model: str
    fingerprint: str
    include_usage: bool = False
    id: str = field(init=False)
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = ("chatcmpl-" if self.chat else "cmpl-") + secrets.token_hex(12)

    def whole(
        self, text: str, finish_reason: str, prompt_tokens: int, completion_tokens: int
    ) -> dict[str, Any]:
        """Build a complete answer."""
        said = (
            {"message": {"role": "assistant", "content": text, "refusal": None}}
            if self.chat
            else {"text": text}
        )
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason}
        return {
            **self._head("chat.completion" if self.chat else "text_completion"),
            "choices": [choice],
            "usage": usage(prompt_tokens, completion_tokens),
        }

    def opening(self) -> dict[str, Any] | None:
        """Build the first chunk of a chat stream, which only has the role."""
        return self._chunk({"role": "assistant", "content": ""}, None) if self.chat else None

    def piece(self, text: str) -> dict[str, Any]:
        """Build a chunk with text."""
        return self._chunk({"content": text} if self.chat else text, None)

    def closing(self, finish_reason: str) -> dict[str, Any]:
        """Build the chunk with the finish reason."""
        return self._chunk({} if self.chat else "", finish_reason)

    def accounts(self, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
        """Build the final chunk: no choices, only usage."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {**self._head(kind), "choices": [], "usage": usage(prompt_tokens, completion_tokens)}

    def _chunk(self, content: dict[str, Any] | str, finish_reason: str | None) -> dict[str, Any]:
        kind, key = ("chat.completion.chunk", "delta") if self.chat else ("text_completion", "text")
        choice = {"index": 0, key: content, "logprobs": None, "finish_reason": finish_reason}
        chunk: dict[str, Any] = {**self._head(kind), "choices": [choice]}
        if self.include_usage:
            chunk["usage"] = None
        return chunk

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Count tokens the way OpenAI does."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
