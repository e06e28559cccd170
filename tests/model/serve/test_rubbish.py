"""Whatever a client sends, the answer is never a 5xx, and the server still serves."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_model.serve.gateway import Gateway
from scenario_model.serve.service import Service
from scenario_model.serve.settings import ApiKeys, HashedKey, Limits
from tests.model.serve.stand_in import StandInEngine

if TYPE_CHECKING:
    from collections.abc import MutableMapping

RELEASE = "assistant@sha256:" + "cd" * 32
KEY = "smk_rubbish"
NAMES = [
    *("model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed"),
    *("stop", "stream", "stream_options", "ignore_eos", "n", "logprobs", "tools", "metadata", "user"),
]
PATHS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/models",
    "/v1/models/x",
    "/metrics",
    "/healthz",
    "/x",
]

scalar = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["assistant", "user", "system", "text", RELEASE])
)  # fmt: skip
names = st.sampled_from([*NAMES, "role", "content", "type", "text", "include_usage"]) | st.text(max_size=5)
value = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text()}
)
nearly_right = st.fixed_dictionaries(
    {"model": st.just("assistant")},
    optional={
        "messages": st.lists(message, max_size=2) | value,
        "prompt": st.text() | st.lists(st.integers(-5, 300), max_size=5) | value,
        "max_tokens": st.integers(-1, 50) | value,
        "stream": st.booleans() | value,
        "stop": st.text(max_size=3) | value,
        "temperature": st.floats(0, 2) | value,
        "seed": st.integers() | value,
        **dict.fromkeys(("n", "stream_options", "top_p", "tools", "unknown"), value),
    },
)
body = (
    st.binary(max_size=64)
    | st.text(max_size=64).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | (value | nearly_right).map(lambda v: json.dumps(v).encode())
)
header_value = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30
)
headers = st.dictionaries(
    st.sampled_from(
        ["authorization", "content-type", "content-encoding", "content-length", "x-request-id", "accept"]
    ),
    header_value,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "BREW"]) | st.just("POST"),
    path=st.sampled_from(PATHS) | st.text(max_size=9).map("/".__add__),
    body=body,
    headers=headers,
    with_key=st.booleans() | st.just(True),
)
def test_rubbish_is_never_a_server_error(
    method: str, path: str, body: bytes, headers: dict[str, str], with_key: bool
) -> None:
    pairs = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    if with_key:
        pairs = [(name, text) for name, text in pairs if name != b"authorization"]
        pairs.append((b"authorization", f"Bearer {KEY}".encode()))

    async def ask() -> tuple[dict[str, Any], bytes]:
        service = Service("assistant", RELEASE)
        engine = StandInEngine()
        await service.attach(engine)
        hashed = HashedKey(id="default", sha256=hashlib.sha256(KEY.encode()).hexdigest())
        gateway = Gateway(service, ApiKeys(keys=(hashed,)), Limits(requests_per_minute=None))
        start, sent = await exchange(gateway, method, path, pairs, body)
        assert engine.statistics().running == 0
        assert service.encoder is not None
        service.encoder.close()
        return start, sent

    start, sent = asyncio.run(ask())
    assert start["status"] < 500, sent
    assert (b"x-release", RELEASE.encode()) in start["headers"]
    if start["status"] >= 400 and method != "HEAD":
        error = json.loads(sent)["error"]
        assert error["message"]
        assert set(error) == {"message", "type", "param", "code"}


async def exchange(
    gateway: Gateway, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[dict[str, Any], bytes]:
    """One request straight into the ASGI application, which no HTTP client would have let through."""
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    received = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if received:
            return received.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    await gateway({**scope, "root_path": ""}, receive, send)
    over.set()
    start, *parts = sent
    return start, b"".join(part.get("body", b"") for part in parts)
