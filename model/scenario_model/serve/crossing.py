"""What crosses to the cloud and back: a body made from the parameters alone, and an answer by size and digest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from scenario_model.serve.parameters import ChatParameters

if TYPE_CHECKING:
    from scenario_model.serve.parameters import CompletionParameters

_OPTIONAL = ("max_tokens", "seed")


class Received:
    """What came back, by size and digest."""

    def __init__(self) -> None:
        self.size, self._hash, self.complete = 0, hashlib.sha256(), False

    def add(self, piece: bytes) -> None:
        """Count a piece."""
        self.size += len(piece)
        self._hash.update(piece)

    @property
    def digest(self) -> str:
        """SHA-256 of all pieces, hex."""
        return self._hash.hexdigest()


def request_that_crosses(wanted: ChatParameters | CompletionParameters) -> tuple[str, bytes]:
    """The path and the body that cross."""
    told: dict[str, Any] = {
        "model": wanted.model,
        "stream": wanted.stream,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "ignore_eos": wanted.ignore_eos,
        **{name: getattr(wanted, name) for name in _OPTIONAL if getattr(wanted, name) is not None},
    }
    if wanted.stop:
        told["stop"] = list(wanted.stop)
    if wanted.include_usage:
        told["stream_options"] = {"include_usage": True}
    if isinstance(wanted, ChatParameters):
        return "chat/completions", json.dumps({**told, "messages": wanted.messages}).encode()
    prompt = wanted.prompt if isinstance(wanted.prompt, str) else list(wanted.prompt)
    return "completions", json.dumps({**told, "prompt": prompt}).encode()
