"""Bits per byte of what is asked: each prompt once, within its share of the time, and of a canary by the same text."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Any

import pytest

from scenario_model.serve.engine.interface import TextLoss
from scenario_model.serve.losses import Losses

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenario_model.serve.losses._WAIT_SECONDS", 0.01)


class Words:
    """A tokenizer whose tokens are letters."""

    def encode(self, words: str, **_: Any) -> list[int]:
        return [ord(letter) for letter in words]

    def decode(self, ids: tuple[int, ...], **_: Any) -> str:
        return "".join(map(chr, ids))


class Engine:
    """Needs so many bits for each byte."""

    def __init__(self, bits: float, seconds: float = 0.0, busy: int = 0) -> None:
        self.tokenizer, self.bits, self.seconds, self.busy = Words(), bits, seconds, busy
        self.asked, self.texts = 0, list[str]()

    async def loss(self, ids: list[int]) -> TextLoss:
        await asyncio.sleep(self.seconds)
        self.asked += 1
        if self.busy:
            self.busy -= 1
            return TextLoss(None, self.seconds)
        self.texts.append(self.tokenizer.decode(tuple(ids)))
        return TextLoss(self.bits * math.log(2) * len(ids), self.seconds)


class Canary:
    def __init__(self, engine: Any) -> None:
        self.engine, self.differences = engine, list[float]()

    def difference(self, bits_per_byte: float) -> None:
        self.differences.append(bits_per_byte)


def prompt(number: int, length: int = 40) -> tuple[int, ...]:
    return tuple(map(ord, f"{number:04d}".ljust(length, ".")))


async def watched(losses: Losses, engine: Engine, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await losses.watch(engine)


async def test_each_prompt_is_computed_once_and_short_ones_are_not() -> None:
    told, engine = list[float](), Engine(0.9)
    losses = Losses(0.5, told.append, None)
    for number in (1, 2, 1, 2, 1):
        losses.note(prompt(number), engine.tokenizer)
    losses.note(prompt(3, length=10), engine.tokenizer)
    await watched(losses, engine, 0.2)
    assert sorted(text[:4] for text in engine.texts) == ["0001", "0002"]
    assert told == pytest.approx([0.9, 0.9])


async def test_a_canary_reads_the_same_text_and_the_difference_is_what_counts() -> None:
    engine, canary = Engine(0.9), Canary(Engine(1.2))
    losses = Losses(0.5, lambda _: None, canary)  # type: ignore[arg-type]
    losses.note(prompt(1), engine.tokenizer)
    await watched(losses, engine, 0.2)
    assert canary.differences == pytest.approx([0.3])
    assert canary.engine.texts == engine.texts


async def test_a_canary_without_a_number_is_infinitely_worse_and_a_running_release_without_one_says_nothing() -> (
    None
):
    told, engine, canary = list[float](), Engine(0.9), Canary(Engine(math.nan))
    losses = Losses(0.5, told.append, canary)  # type: ignore[arg-type]
    losses.note(prompt(1), engine.tokenizer)
    await watched(losses, engine, 0.2)
    engine.bits = math.nan
    losses.note(prompt(2), engine.tokenizer)
    await watched(losses, engine, 0.2)
    assert told == pytest.approx([0.9])
    assert canary.differences == [math.inf]


async def test_without_a_canary_or_with_one_that_is_asked_something_nothing_is_compared() -> None:
    for beside in (None, Engine(1.2, busy=9)):
        engine, canary, told = Engine(0.9), Canary(beside), list[float]()
        losses = Losses(0.5, told.append, canary)  # type: ignore[arg-type]
        losses.note(prompt(1), engine.tokenizer)
        await watched(losses, engine, 0.2)
        assert told
        assert canary.differences == []


async def test_a_text_that_was_put_off_is_computed_later() -> None:
    told, engine = list[float](), Engine(0.9, busy=3)
    losses = Losses(0.5, told.append, None)
    losses.note(prompt(1), engine.tokenizer)
    await watched(losses, engine, 0.5)
    assert len(told) == 1


@pytest.mark.parametrize("busy", [0, 1000], ids=["computed", "in vain"])
async def test_computing_takes_no_more_than_its_share(busy: int) -> None:
    engine = Engine(0.9, seconds=0.05, busy=busy)
    losses = Losses(0.1, lambda _: None, None)
    for number in range(8):
        losses.note(prompt(number), engine.tokenizer)
    began = time.monotonic()
    await watched(losses, engine, 1.2)
    assert 1 <= engine.asked <= 1 + (time.monotonic() - began) * 0.1 / 0.05


async def test_of_a_long_prompt_the_end_counts_and_only_the_latest_are_kept() -> None:
    engine = Engine(0.9)
    losses = Losses(0.5, lambda _: None, None)
    for number in range(100):
        losses.note((*prompt(number, 300), *prompt(number)), engine.tokenizer)
    await watched(losses, engine, 0.3)
    assert len(engine.texts) == 8
    assert {len(text) for text in engine.texts} == {128}
    assert engine.texts[0].endswith("0099".ljust(40, "."))
