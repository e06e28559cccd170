"""Limits of a request's size, and of a key's requests and tokens per minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenario_model.serve.settings import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.anyio
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "Good morning"}]}
TEXT = {"model": "assistant", "prompt": "Once upon a time"}


class TestLimits:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=2, body_bytes=1024)

    async def test_a_body_that_is_too_large_is_413(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/completions", json={**TEXT, "prompt": "x" * 2000})
        assert answer.status_code == 413

    async def test_a_body_of_unknown_size_is_cut_at_the_limit(self, client: httpx.AsyncClient) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b" " * 500

        answer = await client.post("/v1/completions", content=parts())
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"

    async def test_too_many_requests_a_minute_are_429_with_retry_after(
        self, client: httpx.AsyncClient
    ) -> None:
        statuses = [(await client.post("/v1/chat/completions", json=CHAT)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        answer = await client.post("/v1/chat/completions", json=CHAT)
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert (await client.get("/v1/models")).status_code == 200


class TestTokenLimits:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, tokens_per_minute=40)

    async def test_tokens_are_charged_after_and_the_next_request_waits(
        self, client: httpx.AsyncClient
    ) -> None:
        statuses = [
            (
                await client.post("/v1/completions", json={**TEXT, "max_tokens": 30, "ignore_eos": True})
            ).status_code
            for _ in range(2)
        ]
        assert statuses == [200, 429]
