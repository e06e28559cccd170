"""Requests that come while the only server loads its model: they wait, and all are answered, or refused in time."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import httpx
import pytest

from scenario_model.serve.gateway import Gateway
from scenario_model.serve.service import Service
from scenario_model.serve.settings import ApiKeys, HashedKey, Limits
from tests.model.serve.conftest import KEY, RELEASE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.model.serve.stand_in import StandInEngine

pytestmark = pytest.mark.anyio
TEXT = {"model": "assistant", "prompt": "Once upon a time", "max_tokens": 2}


@pytest.fixture
async def alone() -> Service:
    """A service that no other one stands in for."""
    return Service("assistant", RELEASE, alone=True)


@pytest.fixture
async def client(alone: Service, limits: Limits) -> AsyncIterator[httpx.AsyncClient]:
    hashed = HashedKey(id="default", sha256=hashlib.sha256(KEY.encode()).hexdigest())
    transport = httpx.ASGITransport(Gateway(alone, ApiKeys(keys=(hashed,)), limits))
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://test", headers=headers) as client:
        yield client


async def test_more_requests_than_the_queues_take_wait_for_the_model_and_are_all_answered(
    client: httpx.AsyncClient, alone: Service, stand_in_engine: StandInEngine
) -> None:
    waiting = [asyncio.create_task(client.post("/v1/completions", json=TEXT)) for _ in range(200)]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waiting)
    assert (await client.get("/readyz")).status_code == 503
    await alone.attach(stand_in_engine)
    answers = await asyncio.gather(*waiting)
    assert {answer.status_code for answer in answers} == {200}


async def test_requests_that_wait_are_refused_if_the_model_will_not_be_loaded(
    client: httpx.AsyncClient, alone: Service
) -> None:
    waiting = [asyncio.create_task(client.post("/v1/completions", json=TEXT)) for _ in range(5)]
    await asyncio.sleep(0.1)
    alone.give_up()
    for answer in await asyncio.gather(*waiting):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_behind_a_balancer_nobody_waits(limits: Limits) -> None:
    hashed = HashedKey(id="default", sha256=hashlib.sha256(KEY.encode()).hexdigest())
    transport = httpx.ASGITransport(Gateway(Service("assistant", RELEASE), ApiKeys(keys=(hashed,)), limits))
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://test", headers=headers) as client:
        assert (await client.post("/v1/completions", json=TEXT)).status_code == 503
