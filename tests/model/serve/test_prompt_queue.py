"""Prompts wait in a bounded queue; large requests of a key that are refused wait for each other."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

from scenario_model.serve.engine.interface import QueueFull
from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.serve.prompt_queue import PromptQueue
from scenario_model.serve.settings import Limits
from scenario_model.serve.turns import Pace, Turns

if TYPE_CHECKING:
    import httpx

    from scenario_model.serve.service import Service

pytestmark = pytest.mark.anyio
LARGE = 2**20


async def test_one_more_than_there_are_places_is_told_when_to_come_again() -> None:
    queue, go = PromptQueue(2), threading.Event()
    running = [asyncio.create_task(queue.run(go.wait, lambda seconds: None)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as full:
        await queue.run(go.wait, lambda seconds: None)
    assert full.value.retry_after_s >= 1
    go.set()
    await asyncio.gather(*running)
    assert await queue.run(lambda: "again", lambda seconds: None) == "again"
    queue.close()


async def test_what_a_job_took_is_reported_even_if_it_failed() -> None:
    queue, spent = PromptQueue(2), list[float]()

    def fail() -> None:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        raise bad_request("no")

    with pytest.raises(ApiError):
        await queue.run(fail, spent.append)
    assert spent[0] >= 0.02
    queue.close()


async def refused(turns: Turns, name: str, size: int, seconds: float) -> None:
    with contextlib.suppress(ApiError):
        async with turns.turn(name, size) as turn:
            turn.add(seconds)
            raise bad_request("no")


async def test_after_a_refused_large_request_only_the_next_large_one_of_the_key_waits() -> None:
    turns, loop = Turns(["mine", "other"], 8), asyncio.get_running_loop()
    began = loop.time()
    await refused(turns, "mine", LARGE, 0.03)
    async with turns.turn("other", LARGE), turns.turn("mine", 1000):
        assert loop.time() - began < 0.4
    async with turns.turn("mine", LARGE):
        assert loop.time() - began >= 19 * 0.03
    again = loop.time()
    async with turns.turn("mine", LARGE):
        assert loop.time() - again < 0.4


async def test_large_requests_of_a_key_beyond_its_places_are_503_with_retry_after() -> None:
    turns, go = Turns(["mine"], 2), asyncio.Event()

    async def wait() -> None:
        async with turns.turn("mine", LARGE):
            await go.wait()

    tasks = []
    for _ in range(3):
        tasks.append(asyncio.create_task(wait()))
        await asyncio.sleep(0.01)
    with pytest.raises(ApiError) as full:
        turns.check("mine")
    assert (full.value.status, full.value.headers["retry-after"]) == (503, "1")
    tasks[1].cancel()
    await asyncio.sleep(0.01)
    turns.check("mine")
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with turns.turn("mine", LARGE):
        pass


async def test_refusals_of_a_key_are_paced_after_the_first_few() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(40):
        await pace.hold("mine")
    assert loop.time() - began < 0.3
    for _ in range(60):
        await pace.hold("mine")
    assert 2.5 < loop.time() - began < 5
    other = loop.time()
    await pace.hold("other")
    assert loop.time() - other < 0.2


async def test_a_refusal_is_held_for_a_second_at_most() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(pace.hold("mine") for _ in range(2000)))
    assert 0.9 < loop.time() - began < 3


class TestFull:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, waiting_prompts=1)

    async def test_a_full_queue_is_503_with_retry_after(
        self, client: httpx.AsyncClient, service: Service
    ) -> None:
        assert service.encoder is not None
        service.encoder._queue._taken = 64
        answer = await client.post("/v1/completions", json={"model": "assistant", "prompt": "Hi"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "queue" in answer.json()["error"]["message"]
