"""The adapter between the gateway and vLLM, over a stand-in that speaks vLLM's protocol."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.serve.engine.interface import (
    Delta,
    Drained,
    EngineFailed,
    EngineStopped,
    GenerationRequest,
    QueueFull,
)
from scenario_model.serve.vllm import completions
from scenario_model.serve.vllm.engine import VllmEngine
from scenario_model.serve.vllm.settings import InstalledVllm

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.serve.engine.generation import QueuedGeneration
    from tests.model.serve.vllm.conftest import Environment

pytestmark = pytest.mark.anyio


def asking(max_tokens: int = 4, **wanted: Any) -> GenerationRequest:
    return GenerationRequest(prompt=(1, 2, 3), max_tokens=max_tokens, **wanted)


async def read(generation: QueuedGeneration) -> tuple[str, int, str | None]:
    deltas = [delta async for delta in generation]
    return "".join(d.text for d in deltas), sum(d.tokens for d in deltas), deltas[-1].finish_reason


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_answer_comes_with_its_text_its_tokens_and_why_it_ended(engine: VllmEngine) -> None:
    assert await read(await engine.submit(asking(4))) == (" w0 w1 w2 w3", 4, "length")
    assert await read(await engine.submit(asking(50))) == (" w0 w1 w2 w3 w4 w5", 6, "stop")
    assert (await read(await engine.submit(asking(9, ignore_eos=True))))[1:] == (9, "length")
    statistics = engine.statistics()
    assert (statistics.tokens_prompt_total, statistics.tokens_generated_total) == (9, 19)
    assert (engine.max_context, statistics.state, statistics.running) == (512, "running", 0)


def test_all_that_a_request_says_is_asked_of_vllm() -> None:
    request = asking(5, temperature=0.3, top_p=0.8, seed=-7, stop=("a", "b"), ignore_eos=True)
    assert completions.body(request) == {
        "prompt": [1, 2, 3],
        "max_tokens": 5,
        "temperature": 0.3,
        "top_p": 0.8,
        "seed": -7,
        "stop": ["a", "b"],
        "ignore_eos": True,
        "stream": True,
        "return_token_ids": True,
    }


async def test_what_does_not_fit_is_refused_before_vllm_is_asked(
    engine: VllmEngine, environment: Environment
) -> None:
    for wrong, says in (
        (GenerationRequest(prompt=(), max_tokens=1), "at least one token"),
        (GenerationRequest(prompt=(10**6,), max_tokens=1), "outside the model's vocabulary"),
        (GenerationRequest(prompt=(1,) * 500, max_tokens=13), "exceed the context of 512"),
    ):
        with pytest.raises(InputError, match=says):
            await engine.submit(wrong)
    assert environment.seen("asked") == []


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ({"status": 400}, "HTTP 400"),
        ({"status": 500}, "HTTP 500"),
        ({"first_event": "[DONE]"}, "before it was complete"),
        ({"first_event": '{"error": {"message": "of [1, 2, 3]", "type": "BadThing"}}'}, r"\(BadThing\)"),
        ({"first_event": '{"choices": []}'}, "unexpected answer"),
        ({"first_event": '{"choices": [{"text": "", "finish_reason": null}]}'}, "unexpected answer"),
        ({"first_event": "no JSON"}, "unexpected answer"),
        ({"first_event": "7"}, "unexpected answer"),
        (
            {"first_event": '{"choices": [{"text": "", "token_ids": [], "finish_reason": "abort"}]}'},
            "unexpected answer",
        ),
    ],
)
async def test_an_answer_that_goes_wrong_fails_alone(
    engine: VllmEngine, environment: Environment, behaviour: dict[str, Any], says: str
) -> None:
    environment.behave(**behaviour)
    with pytest.raises(EngineFailed, match=says) as failed:
        await read(await engine.submit(asking()))
    assert "1, 2, 3" not in str(failed.value)
    environment.behave()
    assert (await read(await engine.submit(asking())))[1] == 4


async def test_a_cancelled_answer_ends_and_vllm_hears_of_it(
    engine: VllmEngine, environment: Environment
) -> None:
    environment.behave(step_seconds=0.05)
    generation = await engine.submit(asking(400, ignore_eos=True))
    await anext(generation)
    await until(lambda: engine.statistics().cache_usage == 0.5)
    generation.cancel()
    generation.cancel()
    assert [delta async for delta in generation] == []
    await until(lambda: environment.seen("ended") == ["aborted"])
    await until(lambda: engine.statistics().running == 0)
    await until(lambda: engine.statistics().cache_usage == 0)


async def test_what_finds_no_place_to_wait_is_told_when_to_come_again(
    engine: VllmEngine, environment: Environment
) -> None:
    environment.behave(step_seconds=0.05)
    accepted = [await engine.submit(asking(10, ignore_eos=True)) for _ in range(4)]
    assert (engine.statistics().running, engine.statistics().waiting) == (2, 2)
    with pytest.raises(QueueFull) as full:
        await engine.submit(asking())
    assert full.value.retry_after_s >= 1
    assert [(await read(generation))[1] for generation in accepted] == [10] * 4
    await until(lambda: engine.statistics().running == 0)
    assert (await read(await engine.submit(asking())))[1] == 4


@pytest.mark.parametrize("which", [0, 1, 2], ids=["guard", "vLLM", "worker and vLLM"])
async def test_a_killed_vllm_fails_what_it_was_asked_and_takes_all_its_processes_along(
    engine: VllmEngine, environment: Environment, which: int
) -> None:
    environment.behave(step_seconds=0.05)
    generation = await engine.submit(asking(400, ignore_eos=True))
    await anext(generation)
    guard, vllm, worker = environment.processes()
    assert [vllm.pid, worker.pid] == [environment.seen("process")[0], environment.seen("worker")[0]]
    for process in ([guard], [vllm], [worker, vllm])[which]:
        process.kill()
    with pytest.raises(EngineFailed, match="closed the connection"):
        await read(generation)
    await until(lambda: engine.statistics().state == "failed")
    await until(lambda: environment.processes() == [])
    with pytest.raises(EngineFailed, match="has failed"):
        await engine.submit(asking())


async def test_an_engine_that_died_behind_a_living_http_server_counts_as_failed(
    engine: VllmEngine, environment: Environment
) -> None:
    environment.behave(health=503)
    await until(lambda: engine.statistics().state == "failed")


async def test_what_was_accepted_is_finished_before_it_is_drained(
    engine: VllmEngine, environment: Environment
) -> None:
    environment.behave(step_seconds=0.05)
    reading = [asyncio.create_task(read(await engine.submit(asking(10, ignore_eos=True)))) for _ in range(4)]
    draining = asyncio.create_task(engine.drain(60))
    await asyncio.sleep(0)
    with pytest.raises(EngineStopped):
        await engine.submit(asking())
    await draining
    assert [await task for task in reading] == [(" w0 w1 w2 w3 w4 w5 w6 w7 w8 w9", 10, "length")] * 4
    assert engine.statistics().state == "stopped"


async def test_at_the_drains_deadline_no_unfinished_answer_passes_for_a_whole_one(
    engine: VllmEngine, environment: Environment
) -> None:
    environment.behave(step_seconds=0.05)
    *begun, waiting = [await engine.submit(asking(400, ignore_eos=True)) for _ in range(3)]
    assert all([(await anext(generation)).tokens for generation in begun])
    await engine.drain(0.2)
    for generation in (*begun, waiting):
        with pytest.raises(Drained):
            await read(generation)
    await until(lambda: environment.seen("ended") == ["aborted"] * 3)


def test_a_vllm_that_cannot_load_ends_with_its_last_words_and_leaves_nothing(
    environment: Environment, tiny_foundation: Path
) -> None:
    environment.behave(load_error="ValueError: Free memory is less than desired\nsee above")
    settings = InstalledVllm(kind="vllm", environment=environment.folder)
    with pytest.raises(ScenarioModelError, match="ValueError: Free memory is less than desired"):
        VllmEngine(tiny_foundation, settings)
    (seen,) = environment.seen("environment")
    assert environment.processes() == []
    assert not Path(seen["TMPDIR"]).exists()


def test_an_environment_without_vllm_is_named(tiny_foundation: Path, tmp_path: Path) -> None:
    settings = InstalledVllm(kind="vllm", environment=tmp_path)
    with pytest.raises(InputError, match=f"no vLLM in {tmp_path}"):
        VllmEngine(tiny_foundation, settings)


def test_one_event_is_one_delta() -> None:
    choice = {"index": 0, "text": "ü", "token_ids": [5, 6], "finish_reason": "stop", "stop_reason": None}
    assert completions.delta(json.dumps({"choices": [choice]})) == Delta("ü", 2, "stop")
