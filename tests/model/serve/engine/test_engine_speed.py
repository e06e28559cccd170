"""What makes the engine fast does not change what it says beyond stated bounds (the real model)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable  # noqa: TC003 - pytest reads it
from typing import TYPE_CHECKING

import pytest
import torch

from scenario_model.serve.engine import Engine, GenerationRequest, TorchSettings
from scenario_model.serve.engine.compiling import can_compile
from scenario_model.serve.engine.cpu_share import CpuShare
from scenario_model.serve.engine.model import Model
from scenario_model.serve.engine.scheduler import Chunk, Sequence

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_TEXTS = (
    "The capital of France is Paris, and the capital of Italy is Rome. Both lie on rivers: the Seine and the",
    "To sort a list of numbers, compare neighbours and swap them when they are in the wrong order, until no",
    "In the beginning of the nineteenth century, most people in Europe lived from what they could grow and",
)


def _log_probabilities(model: Model, prompts: list[list[int]]) -> torch.Tensor:
    """Log-probabilities [positions, vocabulary] after every token from the fourth on, one step at a time."""
    rows = []
    for prompt in prompts:
        sequence = Sequence(3, 1000, prompt[:3], slot=0)
        rows.append(model.step([Chunk(sequence, 0, 3, samples=True)]))
        for position, token in enumerate(prompt[3:], 3):
            sequence.tokens.append(token)
            rows.append(model.step([Chunk(sequence, position, 1, samples=True)]))
    return torch.cat(rows).double().log_softmax(-1)


def test_int8_stays_close_to_float32(foundation: Path) -> None:
    exact = Model(foundation, TorchSettings(weights="fp32", max_sequences=1))
    prompts = [exact.tokenizer(text)["input_ids"] for text in _TEXTS]
    expected = _log_probabilities(exact, prompts)
    got = _log_probabilities(Model(foundation, TorchSettings(weights="int8", max_sequences=1)), prompts)
    divergence = (expected.exp() * (expected - got)).sum(-1)
    agreement = (expected.argmax(-1) == got.argmax(-1)).double().mean()
    # Rounding weights to 8 bits per output channel costs 0.005 nats on 1,500 tokens of text, where bf16 costs
    # 0.001; the mean is bounded at four times that, as these are 60 tokens.
    assert float(divergence.mean()) < 0.02
    assert float(divergence.max()) < 0.2
    assert float(agreement) > 0.9


# `make test` compiles what tests/end_to_end/test_s3_local.py asks.
@pytest.mark.soak
@pytest.mark.skipif(not can_compile(), reason="needs a C++ compiler: install g++")
def test_compiled_layers_answer_as_plain_ones_do_on_one_thread_and_on_two(
    laconic_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def update(share: CpuShare) -> int:
        """As if neighbours came and went."""
        share.threads = 3 - share.threads
        return share.threads

    monkeypatch.setattr(CpuShare, "update", update)
    requests = [
        GenerationRequest(prompt=tuple(range(5, 5 + length)), max_tokens=40, temperature=0, ignore_eos=True)
        for length in (1, 30, 80)
    ]

    async def ask(engine: Engine) -> list[str]:
        async def one(request: GenerationRequest) -> str:
            return "".join([delta.text async for delta in await engine.submit(request)])

        alone = [await one(request) for request in requests]
        return alone + list(await asyncio.gather(*map(one, requests)))

    answers = []
    for compiling in ("off", "on"):
        settings = TorchSettings(
            weights="fp32", compile=compiling, prompt_lookup="on", max_context=128, threads=2
        )
        engine = Engine(laconic_checkpoint, settings, cache=tmp_path / "cache")
        engine.start()
        try:
            answers.append(asyncio.run(ask(engine)))
            assert engine.statistics().tokens_accepted_total > 0
        finally:
            engine.stop()
            torch.compiler.set_stance("default")
    assert answers[0] == answers[1]
    assert list((tmp_path / "cache").iterdir())


def test_without_a_compiler_auto_goes_on_and_says_so(
    start: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CXX", raising=False)
    engine = start(compile="auto")

    async def ask() -> int:
        request = GenerationRequest(prompt=(5, 6), max_tokens=2, temperature=0, ignore_eos=True)
        return sum([delta.tokens async for delta in await engine.submit(request)])

    assert asyncio.run(ask()) == 2
    assert "no C++ compiler was found" in caplog.text
