"""What the engine answers is what the model says, whatever else happens beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from scenario_model.serve.engine import Engine, GenerationRequest
from scenario_model.serve.engine.text import TextStream

Start = Callable[..., Engine]
Reference = Callable[[tuple[int, ...], int], list[int]]


async def _ask(engine: Engine, request: GenerationRequest) -> tuple[str, int, str | None]:
    text, tokens, reason = "", 0, None
    async for delta in await engine.submit(request):
        text, tokens, reason = text + delta.text, tokens + delta.tokens, delta.finish_reason
    return text, tokens, reason


def _prompt(chance: random.Random, longest: int = 120) -> tuple[int, ...]:
    return tuple(chance.randrange(3, 49000) for _ in range(chance.randint(1, longest)))


def _spell(engine: Engine, tokens: list[int]) -> str:
    stream = TextStream(engine.tokenizer.backend_tokenizer)
    return "".join(stream.push(token) for token in tokens) + stream.finish()


@pytest.mark.parametrize(
    ("slots", "prefill"), [(1, 16), (4, 7), (5, 256)], ids=["alone", "small chunks", "large chunks"]
)
def test_greedy_answers_are_those_of_generate_whatever_comes_and_goes(
    start: Start, greedy: Reference, slots: int, prefill: int
) -> None:
    engine = start(max_sequences=slots, prefill_tokens=prefill)
    chance = random.Random(slots)
    requests = [
        GenerationRequest(
            prompt=_prompt(chance), max_tokens=chance.randint(1, 24), temperature=0, ignore_eos=True
        )
        for _ in range(12)
    ]

    async def arrive(request: GenerationRequest, after: float, leaves: bool) -> tuple[str, int, str | None]:
        await asyncio.sleep(after)
        if not leaves:
            return await _ask(engine, request)
        generation = await engine.submit(request)
        await anext(generation)
        generation.cancel()
        assert [delta async for delta in generation] == []
        return "", 0, "cancelled"

    async def all_of_them() -> list[tuple[str, int, str | None]]:
        return await asyncio.gather(
            *(arrive(r, chance.random() * 0.2, leaves=i % 4 == 3) for i, r in enumerate(requests))
        )

    answers = asyncio.run(all_of_them())
    for index, (request, (text, tokens, reason)) in enumerate(zip(requests, answers, strict=True)):
        if index % 4 == 3:
            continue
        expected = greedy(request.prompt, request.max_tokens)
        assert (text, tokens, reason) == (_spell(engine, expected), request.max_tokens, "length")
    assert engine.statistics().running == engine.statistics().waiting == 0


def test_a_seeded_answer_does_not_depend_on_what_else_is_in_the_batch(start: Start) -> None:
    chance = random.Random(1)
    request = GenerationRequest(prompt=_prompt(chance), max_tokens=40, temperature=1.1, top_p=0.9, seed=42)
    others = [
        GenerationRequest(prompt=_prompt(chance), max_tokens=30, temperature=0.8, seed=seed)
        for seed in range(7)
    ]
    engine = start(max_sequences=8)

    async def alone_then_among_others() -> tuple[str, str, list[str]]:
        alone, *_ = await _ask(engine, request)
        among, *rest = await asyncio.gather(_ask(engine, request), *(_ask(engine, other) for other in others))
        return alone, among[0], [text for text, *_ in rest]

    alone, among, rest = asyncio.run(alone_then_among_others())
    assert alone == among
    assert len({alone, *rest}) == 8


def test_without_a_seed_answers_differ(start: Start) -> None:
    engine = start()
    request = GenerationRequest(prompt=(11, 12, 13), max_tokens=20, temperature=1.5)

    async def twice() -> tuple[tuple[str, int, str | None], tuple[str, int, str | None]]:
        return await asyncio.gather(_ask(engine, request), _ask(engine, request))

    first, second = asyncio.run(twice())
    assert first != second


def test_an_end_token_ends_the_answer_unless_it_is_to_be_ignored(start: Start, greedy: Reference) -> None:
    engine = start()
    prompt = (101, 202, 303)
    tokens = greedy(prompt, 12)
    engine._model.end_tokens = frozenset({tokens[5]})
    stopping = GenerationRequest(prompt=prompt, max_tokens=12, temperature=0)
    going_on = GenerationRequest(prompt=prompt, max_tokens=12, temperature=0, ignore_eos=True)
    first = tokens.index(tokens[5])
    assert asyncio.run(_ask(engine, stopping)) == (_spell(engine, tokens[:first]), first + 1, "stop")
    assert asyncio.run(_ask(engine, going_on)) == (_spell(engine, tokens), 12, "length")


def test_a_stop_string_over_token_borders_ends_the_answer_before_it(start: Start, greedy: Reference) -> None:
    engine = start()
    prompt = (900, 800, 700)
    whole = _spell(engine, greedy(prompt, 20))
    middle = len(whole) // 2
    stop = whole[middle - 3 : middle + 4]
    request = GenerationRequest(
        prompt=prompt, max_tokens=20, temperature=0, stop=("not in it", stop), ignore_eos=True
    )
    text, tokens, reason = asyncio.run(_ask(engine, request))
    assert text == whole[: whole.index(stop)]
    assert reason == "stop"
    assert tokens < 20


def test_a_long_prompt_does_not_hold_up_the_answers_of_others(start: Start) -> None:
    engine = start(max_sequences=2, prefill_tokens=8, max_context=2048)
    long = GenerationRequest(prompt=tuple(range(5, 1605)), max_tokens=1, temperature=0)
    short = GenerationRequest(prompt=(5, 6), max_tokens=40, temperature=0, ignore_eos=True)

    async def both() -> list[str]:
        ended: list[str] = []

        async def note(name: str, request: GenerationRequest) -> None:
            await _ask(engine, request)
            ended.append(name)

        await asyncio.gather(note("long", long), note("short", short))
        return ended

    assert asyncio.run(both()) == ["short", "long"]
