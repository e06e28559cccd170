"""Many clients at once, slow ones and rude ones: nothing crossed, nothing lost, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import keyword
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.campaigns import campaign
from tests.waiting import until

if TYPE_CHECKING:
    from tests.model.serve.running_server import RunningServer, StartServer


pytestmark = [pytest.mark.slow, pytest.mark.anyio]
CLIENTS = 64
# The tiny model hardly says more than the last word again: so prompts end in different words.
PROMPTS = [f"Of all keywords of Python: {word}" for word in keyword.kwlist[:32]]
TOKENS = 8


def wanted(prompt: str, **more: Any) -> dict[str, Any]:
    body = {
        "model": "assistant",
        "prompt": prompt,
        "temperature": 0,
        "max_tokens": TOKENS,
        "ignore_eos": True,
    }
    return body | more


def client(server: RunningServer) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {server.key}"}
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(
        base_url=server.url, verify=server.trust, headers=headers, timeout=120, limits=limits
    )


def text_of(stream: str) -> str:
    lines = [line.removeprefix("data: ") for line in stream.split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return "".join(json.loads(line)["choices"][0]["text"] for line in lines)


async def ask(http: httpx.AsyncClient, prompt: str, kind: str, dice: random.Random) -> str | None:
    """One request of a kind of client. Gives the answer's text; None if it left early; raises on 503."""
    if kind == "plain":
        answer = await http.post("/v1/completions", json=wanted(prompt))
        answer.raise_for_status()
        return str(answer.json()["choices"][0]["text"])
    async with http.stream("POST", "/v1/completions", json=wanted(prompt, stream=True)) as answer:
        answer.raise_for_status()
        parts = []
        async for part in answer.aiter_text():
            parts.append(part)
            if kind == "leaves" and dice.random() < 0.5:
                return None
            if kind == "slow":
                await asyncio.sleep(dice.random() / 10)
    return text_of("".join(parts))


async def one_client(
    server: RunningServer,
    number: int,
    todo: list[int],
    expected: dict[str, str | None],
    seen: Counter[str | int],
) -> None:
    dice = random.Random(number)
    async with client(server) as http:
        while todo:
            prompt = PROMPTS[todo.pop() % len(PROMPTS)]
            kind = dice.choices(["plain", "streams", "slow", "leaves"], [60, 20, 8, 12])[0]
            while True:
                try:
                    text = await ask(http, prompt, kind, dice)
                except httpx.HTTPStatusError as error:
                    status, headers = error.response.status_code, error.response.headers
                    seen[status] += 1
                    assert status == 503, f"a {status} under load"
                    assert int(headers["retry-after"]) >= 1
                    await asyncio.sleep(dice.uniform(0.1, 0.5))
                else:
                    break
            if text is not None:
                assert text == expected[prompt], "an answer of somebody else"
            seen[kind] += 1


@campaign("requests", 500, soak=2000)
async def test_64_clients_get_their_own_answers_and_leave_nothing_behind(
    start_server: StartServer, requests: int
) -> None:
    with start_server() as server:
        async with client(server) as http:
            dice = random.Random(0)
            expected = {prompt: await ask(http, prompt, "plain", dice) for prompt in PROMPTS}
        assert len(set(expected.values())) > len(PROMPTS) // 2, "answers must tell prompts apart"
        seen: Counter[str | int] = Counter()
        sizes = []
        for share in (requests // 4, requests * 3 // 4):
            todo = list(range(share))
            async with asyncio.TaskGroup() as clients:
                for number in range(CLIENTS):
                    clients.create_task(one_client(server, number, todo, expected, seen))
            sizes.append(psutil.Process(server.process.pid).memory_info().rss / 2**20)
        assert sum(seen[kind] for kind in ("plain", "streams", "slow", "leaves")) == requests
        assert min(seen[kind] for kind in ("plain", "streams", "slow", "leaves")) > 0
        assert sizes[1] - sizes[0] < 32, f"memory grew: {sizes} MiB"
        server.wait_for(lambda: server.metric("vllm:num_requests_running") == 0)
        assert server.metric("vllm:num_requests_waiting") == 0
        print(f"outcomes {dict(seen)}, resident {sizes[0]:.0f} then {sizes[1]:.0f} MiB")


def ending(stream: str) -> tuple[str, str | None]:
    """How a stream ended: whole with its reason, with an error event, or torn."""
    *_, before, last, rest = ["", *stream.split("\n\n")]
    if rest or "error" in last:
        return ("torn", None) if rest else ("error event", None)
    if last != "data: [DONE]":
        return "torn", None
    return "whole", json.loads(before.removeprefix("data: "))["choices"][0]["finish_reason"]


async def until_refused(
    http: httpx.AsyncClient, max_tokens: int, outcomes: list[tuple[float, str, str | None]]
) -> None:
    """Ask until the server is gone; note when each request was sent and what came of it."""
    while True:
        sent, began = time.monotonic(), False
        try:
            body = wanted("Once upon a time", stream=True) | {"max_tokens": max_tokens}
            async with http.stream("POST", "/v1/completions", json=body) as answer:
                began = answer.status_code == 200
                stream = (await answer.aread()).decode()
            if answer.status_code == 200:
                outcomes.append((sent, *ending(stream)))
            else:
                assert answer.status_code == 503
                assert "retry-after" in answer.headers
                outcomes.append((sent, "503", None))
                await asyncio.sleep(0.05)
        except httpx.TransportError:
            outcomes.append((sent, "torn" if began else "refused", None))
            return


async def test_sigterm_under_load_loses_nothing_and_drains_as_long_as_the_setting_says(
    start_server: StartServer,
) -> None:
    # More long answers than there are slots, each too long for the drain; and short ones.
    with start_server(drain_seconds=3) as server:
        outcomes: list[tuple[float, str, str | None]] = []
        async with client(server) as http, asyncio.TaskGroup() as clients:
            for number in range(40):
                clients.create_task(until_refused(http, 4 if number % 4 else 1900, outcomes))
            await asyncio.to_thread(until, lambda: sum(what == "whole" for _, what, _ in list(outcomes)) > 60)
            server.process.send_signal(signal.SIGTERM)
            signalled = time.monotonic()
            code = await asyncio.to_thread(server.process.wait, 15)
            took = time.monotonic() - signalled
        assert code == 0
        assert 3 <= took < 6
        accepted = [(what, reason) for sent, what, reason in outcomes if sent < signalled - 0.05]
        kinds = Counter(what for what, _ in accepted)
        print(f"took {took:.1f} s; sent before the signal: {dict(kinds)}")
        assert set(kinds) <= {"whole", "503", "error event"}
        assert kinds["whole"] > 40
        assert kinds["error event"] > 0
        assert not [what for _, what, _ in outcomes if what == "torn"]
        assert {reason for what, reason in accepted if what == "whole"} == {"length"}


async def test_a_second_signal_ends_it_at_once(start_server: StartServer) -> None:
    with start_server() as server:
        async with client(server) as http:
            task = asyncio.create_task(
                http.post("/v1/completions", json=wanted("Once upon a time") | {"max_tokens": 1900})
            )
            await asyncio.to_thread(server.wait_for, lambda: server.metric("vllm:num_requests_running") == 1)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for, lambda: server.get("/readyz").status_code == 503)
            server.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(server.process.wait, 2) == 128 + signal.SIGINT
            with pytest.raises(httpx.TransportError):
                await task
