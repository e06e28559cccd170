"""With drafts an answer is what it is without them, and takes fewer steps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch

from scenario_model.serve.engine import Engine, GenerationRequest, TorchSettings
from scenario_model.serve.engine.model import Model
from scenario_model.serve.engine.scheduler import Chunk, Sequence

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

Start = Callable[..., Engine]
Answer = tuple[str, int, str | None]


async def _ask(engine: Engine, request: GenerationRequest) -> Answer:
    text, tokens, reason = "", 0, None
    async for delta in await engine.submit(request):
        text, tokens, reason = text + delta.text, tokens + delta.tokens, delta.finish_reason
    return text, tokens, reason


def _ask_all(engine: Engine, requests: list[GenerationRequest]) -> list[Answer]:
    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(*(_ask(engine, request) for request in requests))

    return asyncio.run(all_of_them())


def _requests(count: int, temperature: float, **settings: object) -> list[GenerationRequest]:
    chance = random.Random(count)
    return [
        GenerationRequest(
            prompt=tuple(chance.randrange(3, 49000) for _ in range(chance.randint(1, 40))),
            max_tokens=chance.randint(20, 90),
            temperature=temperature,
            top_p=0.95,
            seed=number,
            ignore_eos=True,
            **settings,  # type: ignore[arg-type]
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("temperature", [0, 0.9], ids=["greedy", "seeded"])
@pytest.mark.parametrize("slots", [1, 3], ids=["alone", "among others"])
def test_answers_are_the_same_with_drafts_and_without(
    start: Start, laconic_checkpoint: Path, temperature: float, slots: int
) -> None:
    requests = _requests(6, temperature)
    plain = start(laconic_checkpoint, prompt_lookup="off", max_sequences=slots, prefill_tokens=16)
    drafting = start(laconic_checkpoint, prompt_lookup="on", max_sequences=slots, prefill_tokens=16)
    assert _ask_all(drafting, requests) == _ask_all(plain, requests)
    without, having = plain.statistics(), drafting.statistics()
    assert (
        having.tokens_generated_total == without.tokens_generated_total == sum(r.max_tokens for r in requests)
    )
    assert having.tokens_drafted_total > having.tokens_accepted_total > 0
    assert having.drafts_total <= having.tokens_drafted_total
    assert having.steps_total < without.steps_total
    assert (without.drafts_total, without.tokens_drafted_total, without.tokens_accepted_total) == (0, 0, 0)


def test_every_step_of_one_stream_saved_is_a_guess_that_was_right(
    start: Start, laconic_checkpoint: Path
) -> None:
    engine = start(laconic_checkpoint, prompt_lookup="on", max_sequences=1, max_context=200)
    # To the very end of the context: no draft may reach beyond it.
    request = GenerationRequest(prompt=(5, 6), max_tokens=198, temperature=0, ignore_eos=True)
    assert _ask_all(engine, [request])[0][1:] == (198, "length")
    statistics = engine.statistics()
    assert statistics.steps_total == 198 - statistics.tokens_accepted_total


def test_a_stop_string_anywhere_ends_the_answer_as_it_would_without_drafts(
    start: Start, laconic_checkpoint: Path
) -> None:
    engine = start(laconic_checkpoint, prompt_lookup="on", max_sequences=1)
    plain = start(laconic_checkpoint, prompt_lookup="off", max_sequences=1)
    (request,) = _requests(1, 0)
    ((whole, *_),) = _ask_all(plain, [request])
    stopping = [
        GenerationRequest(
            prompt=request.prompt,
            max_tokens=80,
            temperature=0,
            ignore_eos=True,
            stop=(whole[at : at + length],),
        )
        for at, length in zip(range(10, len(whole) - 30, 23), (4, 9, 16, 25) * 99, strict=False)
    ]
    answers = _ask_all(engine, stopping)
    assert answers == _ask_all(plain, stopping)
    assert {reason for _, _, reason in answers} == {"stop"}
    assert engine.statistics().tokens_accepted_total > 0


def test_an_end_token_ends_the_answer_as_it_would_without_drafts(
    start: Start, laconic_checkpoint: Path
) -> None:
    engines = [start(laconic_checkpoint, max_sequences=1, prompt_lookup=lookup) for lookup in ("on", "off")]
    request = GenerationRequest(prompt=(5, 6), max_tokens=120, temperature=0.7, top_p=0.9, seed=4)
    reasons = set()
    for word in range(500, 500 + 14 * 300, 300):
        for engine in engines:
            engine._model.end_tokens = frozenset({word})
        first, second = (_ask_all(engine, [request])[0] for engine in engines)
        assert first == second
        reasons.add(first[2])
    assert "stop" in reasons


def test_who_leaves_in_the_middle_disturbs_nobody(start: Start, laconic_checkpoint: Path) -> None:
    requests = _requests(4, 0)
    plain = start(laconic_checkpoint, prompt_lookup="off", max_sequences=4)
    engine = start(laconic_checkpoint, prompt_lookup="on", max_sequences=4)

    async def leave_after(request: GenerationRequest, tokens: int) -> None:
        generation = await engine.submit(request)
        async for delta in generation:
            tokens -= delta.tokens
            if tokens <= 0:
                generation.cancel()

    async def some_leave() -> list[Answer]:
        leaving = [
            asyncio.create_task(leave_after(r, n)) for r, n in zip(requests, (1, 7, 13, 19), strict=True)
        ]
        answers = await asyncio.gather(*(_ask(engine, request) for request in requests))
        await asyncio.gather(*leaving)
        return answers

    assert asyncio.run(some_leave()) == _ask_all(plain, requests)
    statistics = engine.statistics()
    assert (statistics.running, statistics.waiting, statistics.cache_usage) == (0, 0, 0)
    assert statistics.tokens_accepted_total > 0


@pytest.mark.parametrize(("weights", "drafts"), [("int8", True), ("bf16", False)])
def test_auto_drafts_where_answers_stay_the_same_to_the_last_bit(
    start: Start, laconic_checkpoint: Path, weights: str, drafts: bool
) -> None:
    if weights == "int8" and torch.cuda.is_available():
        weights, drafts = "auto", False
    engine = start(laconic_checkpoint, weights=weights, max_sequences=1)
    _ask_all(engine, _requests(1, 0))
    assert (engine.statistics().tokens_drafted_total > 0) is drafts


def _generating(model: Model, slot: int, prompt: list[int], newest: int) -> Sequence:
    """A sequence whose prompt is in the cache and whose first token was picked."""
    sequence = Sequence(len(prompt), 100, prompt.copy(), slot=slot, cached=len(prompt))
    model.step([Chunk(sequence, 0, len(prompt), samples=False)])
    sequence.tokens.append(newest)
    return sequence


def test_in_int8_a_row_of_a_draft_is_to_the_last_bit_what_it_is_alone(lively_checkpoint: Path) -> None:
    settings = TorchSettings(weights="int8", compile="off", max_sequences=4, max_context=256)
    model = Model(lively_checkpoint, settings)
    chance = random.Random(2)
    texts = [[chance.randrange(3, 49000) for _ in range(length)] for length in (61, 150, 3)]
    follow = [chance.randrange(3, 49000) for _ in range(6)]
    sequences = [
        _generating(model, slot, text, follow[0]) for slot, text in zip((2, 0, 3), texts, strict=True)
    ]
    drafts = [tuple(follow[1:]), (), tuple(follow[1:3])]
    chunks = [
        Chunk(s, s.cached, 1 + len(draft), samples=True, draft=draft)
        for s, draft in sorted(zip(sequences, drafts, strict=True), key=lambda pair: len(pair[1]) > 0)
    ]
    newcomer = Chunk(Sequence(9, 5, texts[0][:9], slot=1), 0, 9, samples=True)
    rows = list(model.step([*chunks, newcomer])[:-1])
    for chunk in chunks:
        sequence, alone = chunk.sequence, []
        for position, token in enumerate(follow[: chunk.length], sequence.cached):
            sequence.tokens[position:] = [token]
            alone.append(model.step([Chunk(sequence, position, 1, samples=True)]))
        drafted, rows = rows[: chunk.length], rows[chunk.length :]
        assert torch.equal(torch.stack(drafted), torch.cat(alone))
    assert rows == []
