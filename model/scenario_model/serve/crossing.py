"""What crosses to the cloud and back: a body made from the parameters alone, and an answer by size and digest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx2

from scenario_model.serve.parameters import ChatParameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Send

    from scenario_model.serve.parameters import CompletionParameters
    from scenario_model.serve.request_log import Call

_MAX_ANSWER_BYTES = 16 * 2**20
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


def is_compressed(response: httpx2.Response) -> bool:
    """Whether an answer is not in plain bytes."""
    return response.headers.get("content-encoding", "identity") != "identity"


async def whole_answer(response: httpx2.Response, received: Received, call: Call) -> bytes | None:
    """A complete answer; None if it does not arrive whole, or is none."""
    pieces = []
    try:
        async for piece in response.aiter_raw():
            received.add(piece)
            pieces.append(piece)
            if received.size > _MAX_ANSWER_BYTES:
                return None
        content = b"".join(pieces)
        usage: Mapping[str, Any] = json.loads(content)["usage"]
        call.prompt_tokens = int(usage["prompt_tokens"])
        call.completion_tokens = int(usage["completion_tokens"])
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return None
    return content


async def send_whole(content: bytes, send: Send) -> None:
    """Send a complete answer to the client."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": False})
