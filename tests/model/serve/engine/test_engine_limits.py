"""Too much, too long, too late, broken: each ends clearly, and nothing leaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

from scenario_model.errors import InputError
from scenario_model.serve.engine import (
    Drained,
    Engine,
    EngineFailed,
    EngineStopped,
    GenerationRequest,
    QueueFull,
    TorchSettings,
)

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Start = Callable[..., Engine]

_LONG = GenerationRequest(prompt=(5, 6, 7), max_tokens=500, temperature=0, ignore_eos=True)
_SHORT = GenerationRequest(prompt=(5, 6, 7), max_tokens=3, temperature=0, ignore_eos=True)


async def _tokens(engine: Engine, request: GenerationRequest) -> tuple[int, str | None]:
    tokens, reason = 0, None
    async for delta in await engine.submit(request):
        tokens, reason = tokens + delta.tokens, delta.finish_reason
    return tokens, reason


def test_a_full_queue_refuses_and_says_when_to_come_again(start: Start) -> None:
    engine = start(max_sequences=1, max_waiting=2)

    async def fill() -> None:
        accepted = [await engine.submit(_LONG) for _ in range(3)]
        with pytest.raises(QueueFull, match="retry in") as refusal:
            await engine.submit(_LONG)
        assert 1 <= refusal.value.retry_after_s < 600
        for generation in accepted:
            generation.cancel()
        assert await _tokens(engine, _SHORT) == (3, "length")

    asyncio.run(fill())


def test_a_request_that_does_not_fit_the_context_is_refused_with_both_numbers(start: Start) -> None:
    engine = start(max_context=32)
    request = GenerationRequest(prompt=tuple(range(5, 30)), max_tokens=8)
    with pytest.raises(InputError, match=r"25 prompt tokens and 8 new ones .* 32 tokens; shorten"):
        asyncio.run(engine.submit(request))
    exactly = GenerationRequest(prompt=tuple(range(5, 29)), max_tokens=8, temperature=0, ignore_eos=True)
    assert asyncio.run(_tokens(engine, exactly)) == (8, "length")


@pytest.mark.parametrize(
    "request_", [GenerationRequest(prompt=(), max_tokens=1), GenerationRequest(prompt=(1,), max_tokens=0)]
)
def test_nothing_to_read_or_nothing_to_write_is_refused(start: Start, request_: GenerationRequest) -> None:
    with pytest.raises(InputError, match="at least"):
        asyncio.run(start().submit(request_))


@pytest.mark.parametrize("token", [-1, 49152, 10**6])
def test_a_token_that_the_model_does_not_have_is_refused_before_it_can_break_a_step(
    start: Start, token: int
) -> None:
    engine = start()
    with pytest.raises(InputError, match="outside the model's vocabulary of 49152"):
        asyncio.run(engine.submit(GenerationRequest(prompt=(5, token), max_tokens=1)))
    assert asyncio.run(_tokens(engine, _SHORT)) == (3, "length")


def test_an_answer_that_cannot_be_decoded_fails_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = start(max_sequences=2)

    class Broken:
        def step(self, tokenizer: Any, token: int) -> str:
            raise RuntimeError("invalid prefix")

    async def ask() -> None:
        good, bad = await engine.submit(_SHORT), await engine.submit(_LONG)
        jobs = list(engine._active.values())
        monkeypatch.setattr(jobs[1].text, "_decoder", Broken())
        with pytest.raises(EngineFailed, match="could not decode"):
            [_ async for _ in bad]
        assert sum([delta.tokens async for delta in good]) == 3

    asyncio.run(ask())
    assert engine.statistics().state == "running"
    assert "invalid prefix" in caplog.text


def test_cancelling_frees_the_slot_for_the_next_in_line(start: Start) -> None:
    engine = start(max_sequences=1)

    async def cancel_first() -> None:
        first, second = await engine.submit(_LONG), await engine.submit(_SHORT)
        await anext(first)
        first.cancel()
        first.cancel()
        assert sum([delta.tokens async for delta in second]) == 3
        assert engine.statistics().running == 0

    asyncio.run(cancel_first())
    assert engine.statistics().tokens_generated_total < 400


def test_draining_finishes_what_was_accepted_and_takes_nothing_new(start: Start) -> None:
    engine = start(max_sequences=2)

    async def drain() -> list[tuple[int, str | None]]:
        answers = [asyncio.create_task(_tokens(engine, _SHORT)) for _ in range(6)]
        await asyncio.sleep(0)
        draining = asyncio.create_task(engine.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(EngineStopped):
            await engine.submit(_SHORT)
        await draining
        return await asyncio.gather(*answers)

    assert asyncio.run(drain()) == [(3, "length")] * 6
    assert engine.statistics().state == "stopped"


def test_at_the_deadline_no_unfinished_answer_passes_for_a_whole_one(start: Start) -> None:
    engine = start(max_sequences=1, max_context=4096)
    endless = GenerationRequest(prompt=(5, 6), max_tokens=4000, temperature=0, ignore_eos=True)

    async def drain() -> list[str | None]:
        begun, waiting = await engine.submit(endless), await engine.submit(endless)
        reasons: list[str | None] = [(await anext(begun)).finish_reason]
        await engine.drain(0.1)
        for generation in (begun, waiting):
            with pytest.raises(Drained, match="ask again"):
                reasons += [delta.finish_reason async for delta in generation]
        return reasons

    assert set(asyncio.run(drain())) == {None}


def test_stopping_ends_what_is_unfinished_with_an_error(start: Start) -> None:
    engine = start(max_sequences=1)

    async def stop() -> None:
        running, waiting = await engine.submit(_LONG), await engine.submit(_LONG)
        await anext(running)
        await asyncio.to_thread(engine.stop)
        for generation in (running, waiting):
            with pytest.raises(EngineStopped):
                [_ async for _ in generation]

    asyncio.run(stop())


def test_a_failing_step_fails_every_request_and_the_engine_with_it(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = start(max_sequences=2)
    step, steps = engine._model.step, 0

    def fail_late(chunks: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 5:
            raise RuntimeError("out of something")
        return step(chunks)

    monkeypatch.setattr(engine._model, "step", fail_late)

    async def ask() -> None:
        generations = [await engine.submit(_LONG) for _ in range(3)]
        for generation in generations:
            with pytest.raises(EngineFailed, match="RuntimeError"):
                [_ async for _ in generation]
        assert engine.statistics().state == "failed"
        with pytest.raises(EngineFailed):
            await engine.submit(_SHORT)
        await engine.drain(1)

    asyncio.run(ask())
    assert engine.statistics().state == "failed"
    assert "out of something" in caplog.text


def test_a_model_that_is_not_finite_fails_instead_of_speaking(
    lively_checkpoint: Path, tmp_path: Path
) -> None:
    for file in lively_checkpoint.iterdir():
        (tmp_path / file.name).symlink_to(file)
    weights = load_file(lively_checkpoint / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = float("nan")
    (tmp_path / "model.safetensors").unlink()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="not finite"):
        Engine(tmp_path, TorchSettings(weights="fp32", compile="off"))


def test_a_cache_that_does_not_fit_is_refused_at_the_start_with_its_bytes(lively_checkpoint: Path) -> None:
    # 3 layers x keys and values x 1,025 slots x 4,096 tokens x 2 heads x 16 x 4 bytes = 3.2 GB.
    from scenario_model.serve.engine import memory

    settings = TorchSettings(weights="fp32", compile="off", max_sequences=1024, max_context=4096)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_available", lambda device: 10**9)
        with pytest.raises(InputError, match=r"3,224,371,200 bytes, but 1,000,000,000 are free; lower"):
            Engine(lively_checkpoint, settings)


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded as a causal language model"):
        Engine(tmp_path, TorchSettings())


@pytest.mark.slow
def test_a_thousand_requests_and_cancellations_leave_nothing_behind(start: Start) -> None:
    engine = start(max_sequences=8, max_waiting=1000)
    chance = random.Random(3)

    async def one() -> None:
        prompt = tuple(chance.randrange(3, 49000) for _ in range(chance.randint(1, 20)))
        request = GenerationRequest(prompt=prompt, max_tokens=chance.randint(1, 12), seed=1)
        await asyncio.sleep(chance.random())
        generation = await engine.submit(request)
        leaves_after = chance.choice([0, 1, 3, None, None])
        async for delta in generation:
            if delta.finish_reason is None and leaves_after is not None:
                break
        generation.cancel()

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(1000)))
        assert await _tokens(engine, _SHORT) == (3, "length")

    asyncio.run(all_of_them())
    statistics = engine.statistics()
    assert (statistics.running, statistics.waiting, statistics.cache_usage) == (0, 0, 0)
    assert engine._active == {}
    assert sorted(engine._scheduler._free) == list(range(8))
