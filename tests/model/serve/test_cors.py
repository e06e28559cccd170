"""Browsers: web pages call the API only if a setting allows them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import ValidationError

from scenario_model.serve.gateway import Gateway
from scenario_model.serve.settings import ApiKeys, HashedKey, Limits, Serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scenario_model.serve.service import Service

pytestmark = pytest.mark.anyio
KEY = "smk_a-key-for-tests"
PAGE, OTHER = "https://chat.example.com", "https://evil.example.com"
# As openai-node in a browser asks.
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-arch,x-stainless-lang",
}
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/models", "/healthz"]


@pytest.fixture
def origins() -> tuple[str, ...]:
    return (PAGE,)


@pytest.fixture
async def browser(
    service: Service, limits: Limits, origins: tuple[str, ...]
) -> AsyncIterator[httpx.AsyncClient]:
    hashed = HashedKey(id="default", sha256=hashlib.sha256(KEY.encode()).hexdigest())
    transport = httpx.ASGITransport(Gateway(service, ApiKeys(keys=(hashed,)), limits, origins))
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_a_preflight_of_an_allowed_page_needs_no_key(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.options(path, headers={"origin": PAGE, **PREFLIGHT})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_answers_and_refusals_may_be_read_by_the_page(browser: httpx.AsyncClient) -> None:
    body = {"model": "assistant", "prompt": "Hi", "max_tokens": 1}
    for headers, status in (({"authorization": f"Bearer {KEY}"}, 200), ({}, 401)):
        for more in ({}, {"stream": True}):
            answer = await browser.post(
                "/v1/completions", json=body | more, headers={"origin": PAGE, **headers}
            )
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "retry-after" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin", [OTHER, "null", PAGE + ".evil.example.com", PAGE.upper(), "http://chat.example.com"]
)
async def test_another_page_is_told_nothing(browser: httpx.AsyncClient, origin: str) -> None:
    preflight = await browser.options("/v1/completions", headers={"origin": origin, **PREFLIGHT})
    answer = await browser.get("/v1/models", headers={"origin": origin, "authorization": f"Bearer {KEY}"})
    assert (preflight.status_code, answer.status_code) == (401, 200)
    for each in (preflight, answer):
        assert "access-control-allow-origin" not in each.headers
        assert each.headers["vary"] == "origin"


@pytest.mark.parametrize("headers", [{"origin": PAGE}, PREFLIGHT])
async def test_what_is_no_preflight_needs_a_key(browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await browser.options("/v1/completions", headers=headers)).status_code == 401


async def test_the_premises_may_be_reached_from_a_public_page_that_is_allowed(
    browser: httpx.AsyncClient,
) -> None:
    headers = {"origin": PAGE, **PREFLIGHT, "access-control-request-private-network": "true"}
    answer = await browser.options("/v1/completions", headers=headers)
    assert answer.headers["access-control-allow-private-network"] == "true"


class TestAll:
    @pytest.fixture
    def origins(self) -> tuple[str, ...]:
        return ("*",)

    async def test_any_page_may_ask(self, browser: httpx.AsyncClient) -> None:
        answer = await browser.options("/v1/completions", headers={"origin": OTHER, **PREFLIGHT})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")


class TestNone:
    @pytest.fixture
    def origins(self) -> tuple[str, ...]:
        return Serving().cors_origins

    async def test_it_is_off_unless_set(self, browser: httpx.AsyncClient) -> None:
        answer = await browser.options("/v1/completions", headers={"origin": PAGE, **PREFLIGHT})
        assert answer.status_code == 401
        assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


@pytest.mark.parametrize(
    "origin", ["chat.example.com", "https://a/", "https://a/b", "ftp://a", "https://*", "", "null"]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError):
        Serving(cors_origins=(origin,))
