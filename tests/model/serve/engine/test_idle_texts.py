"""The loss of a text, computed while nobody asks: it is the model's, and nobody who asks waits for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from scenario_model.serve.engine import Engine, GenerationRequest
from scenario_model.serve.engine.idle_texts import compute

if TYPE_CHECKING:
    from pathlib import Path

Start = Callable[..., Engine]
CHANCE = random.Random(3)
TEXTS = [[CHANCE.randrange(3, 49000) for _ in range(length)] for length in (2, 16, 17, 33, 128)]


def plain(checkpoint: Path, ids: list[int]) -> float:
    """What Hugging Face says: the mean over all tokens but the first, times their number."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    batch = torch.tensor([ids])
    with torch.inference_mode():
        return float(network(input_ids=batch, labels=batch).loss) * (len(ids) - 1)


def test_it_is_the_loss_that_the_model_has(start: Start, lively_checkpoint: Path) -> None:
    engine = start()

    async def all_of_them() -> list[float | None]:
        return [(await engine.loss(ids)).nats for ids in TEXTS]

    expected = [plain(lively_checkpoint, ids) for ids in TEXTS]
    assert asyncio.run(all_of_them()) == pytest.approx(expected, rel=1e-3)


def test_answers_are_the_same_as_without_it(start: Start) -> None:
    engine = start(max_sequences=2)
    request = GenerationRequest(prompt=tuple(TEXTS[3]), max_tokens=12, temperature=0, ignore_eos=True)

    async def answer() -> str:
        return "".join([delta.text async for delta in await engine.submit(request)])

    async def beside_texts() -> tuple[list[str], list[float | None]]:
        asked = asyncio.gather(*(engine.loss(TEXTS[4]) for _ in range(4)))
        answers = [await answer() for _ in range(4)]
        return answers, [each.nats for each in await asked]

    alone = asyncio.run(answer())
    answers, losses = asyncio.run(beside_texts())
    assert set(answers) == {alone}
    assert len({loss for loss in losses if loss is not None}) <= 1


def test_whoever_asks_does_not_wait_for_the_rest_of_a_text(start: Start) -> None:
    engine = start()
    pieces = 0

    def wanted() -> bool:
        nonlocal pieces
        pieces += 1
        return pieces == 3

    computed = compute(engine._model, TEXTS[4], wanted)
    assert computed.nats is None
    assert computed.seconds > 0, "what was computed in vain counts, too"
    assert pieces == 3


@pytest.mark.parametrize("ids", [[], [5], [5, 10**6], [5, -1], [7] * 100_000])
def test_what_the_model_cannot_read_has_none(start: Start, ids: list[int]) -> None:
    assert asyncio.run(start().loss(ids)) == (None, 0)


def test_at_its_end_the_engine_leaves_nobody_waiting(start: Start) -> None:
    engine = start()

    async def until_stopped() -> list[float | None]:
        asked = asyncio.gather(*(engine.loss([7] * 4000) for _ in range(6)))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.stop)
        return [each.nats for each in await asked]

    began = time.monotonic()
    assert None in asyncio.run(until_stopped())
    assert time.monotonic() - began < 30
    assert asyncio.run(engine.loss([7, 8])).nats is None


def test_who_no_longer_waits_harms_nobody(start: Start) -> None:
    engine = start()

    async def leave() -> float | None:
        tasks = [asyncio.create_task(engine.loss(TEXTS[4])) for _ in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return (await engine.loss(TEXTS[3])).nats

    assert asyncio.run(leave())
    assert engine.statistics().state == "running"


def test_between_two_answers_nothing_is_begun(start: Start) -> None:
    """A client needs a moment for its next request, and is not to meet a text there."""
    engine = start(max_sequences=1)
    request = GenerationRequest(prompt=tuple(TEXTS[3]), max_tokens=1, temperature=0, ignore_eos=True)

    async def ask_again_and_again() -> bool:
        waits = asyncio.create_task(engine.loss(TEXTS[4]))
        for _ in range(10):
            assert [delta async for delta in await engine.submit(request)]
            await asyncio.sleep(0.02)
        early = waits.done()
        assert (await waits).nats
        return early

    assert not asyncio.run(ask_again_and_again())
