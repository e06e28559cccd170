"""Part `engine`: tokens per second of the torch engine, the one that we serve with, on random weights.

All streams are submitted at once, each with the same number of prompt tokens and of new ones, greedy and past
the end-of-text token; prompt lookup is off, since random weights repeat themselves. The time is that from the
first submission to the last token, prompts included, the median of the rounds after one that does not count.
One stream cannot be faster than reading all weights once per token: that bound stands beside it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu import peaks
from benchmarks.gpu.context import figure, first_line
from benchmarks.gpu.models import ONE_BILLION, SMALL, Shape, write_checkpoint
from scenario_model.serve.engine import Engine, GenerationRequest, TorchSettings

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.context import Context

STREAMS = (1, 16, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The model, tokens of a prompt and of an answer, rounds that count, and whether layers are compiled."""

    shape: Shape
    prompt: int
    answer: int
    rounds: int
    compiled: bool


_SCALES = {
    "cuda": Scale(shape=ONE_BILLION, prompt=128, answer=192, rounds=3, compiled=True),
    # On a CPU inductor's C++ would take longer than everything else.
    "cpu": Scale(shape=SMALL, prompt=16, answer=16, rounds=1, compiled=False),
}


def run(context: Context) -> dict[str, Any]:
    """Measure the engine as it is loaded, then with compiled layers."""
    scale = _SCALES[context.device]
    device = context.torch_device()
    checkpoint = write_checkpoint(context.scratch / "engine", scale.shape, device, torch.bfloat16)
    if context.gpu:
        torch.cuda.empty_cache()
    result: dict[str, Any] = {"scale": asdict(scale), "streams": [], "figures": []}
    for compiled in (False, True) if scale.compiled else (False,):
        try:
            _measure(checkpoint, context, result, compiled=compiled)
        except Exception as error:  # noqa: BLE001 - uncompiled figures stay
            what = "compiled" if compiled else "not compiled"
            result["figures"].append(figure(f"engine, {what}", f"not measured: {first_line(error)}"))
    if not scale.compiled:
        result["not_compiled_because"] = "the check compiles layers on a GPU only"
    if not result["streams"]:
        raise RuntimeError(result["figures"][0]["value"])
    return result


def _measure(checkpoint: Path, context: Context, result: dict[str, Any], *, compiled: bool) -> None:
    scale, begun = _SCALES[context.device], time.perf_counter()
    settings = TorchSettings(
        compile="on" if compiled else "off",
        max_sequences=max(STREAMS),
        max_context=scale.prompt + scale.answer,
        prompt_lookup="off",
    )
    engine = Engine(checkpoint, settings, context.scratch / "compiled-layers")
    engine.start()
    loaded = time.perf_counter() - begun
    bound = _one_stream_bound(checkpoint, context)
    try:
        for streams in STREAMS:
            measured = _rounds(engine, scale, streams) | {
                "compiled": compiled,
                "load_seconds": round(loaded, 1),
            }
            if streams == 1 and bound:
                measured["bound_tokens_per_s"] = round(bound, 1)
            result["streams"].append(measured)
            result["figures"].append(_figure(measured))
            context.note(result)
    finally:
        engine.stop()


def _rounds(engine: Engine, scale: Scale, streams: int) -> dict[str, Any]:
    """The same requests several times; the first round is not counted."""
    drawn = random.Random(0)
    requests = [
        GenerationRequest(
            prompt=tuple(drawn.randrange(1, scale.shape.vocabulary) for _ in range(scale.prompt)),
            max_tokens=scale.answer,
            temperature=0.0,
            ignore_eos=True,
        )
        for _ in range(streams)
    ]
    took = [asyncio.run(_all_at_once(engine, requests)) for _ in range(1 + scale.rounds)][1:]
    seconds = statistics.median(whole for whole, _ in took)
    return {
        "streams": streams,
        "tokens_per_s": round(streams * scale.answer / seconds, 1),
        "tokens_per_s_of_rounds": [round(streams * scale.answer / whole, 1) for whole, _ in took],
        "first_token_ms": round(1000 * statistics.median(first for _, first in took), 1),
    }


async def _all_at_once(engine: Engine, requests: list[GenerationRequest]) -> tuple[float, float]:
    """Seconds until the last answer has ended, and until the last of the first tokens.

    Raises RuntimeError if an answer is shorter than asked for.
    """

    async def ask(request: GenerationRequest) -> float:
        count, first = 0, 0.0
        async for delta in await engine.submit(request):
            first = first or time.perf_counter() - begun
            count += delta.tokens
        if count != request.max_tokens:
            raise RuntimeError(f"an answer has {count} tokens of {request.max_tokens}")
        return first

    begun = time.perf_counter()
    firsts = await asyncio.gather(*map(ask, requests))
    return time.perf_counter() - begun, max(firsts)


def _one_stream_bound(checkpoint: Path, context: Context) -> float | None:
    """Tokens per second of one stream whose only work is to read the weights, at the datasheet's rate."""
    sheet = peaks.datasheet(torch.cuda.get_device_name(0)) if context.gpu else None
    size = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
    return sheet.memory_gb_s * 1e9 / size if sheet else None


def _figure(measured: dict[str, Any]) -> dict[str, Any]:
    how = "compiled" if measured["compiled"] else "not compiled"
    plural = "s" if measured["streams"] > 1 else ""
    bound = measured.get("bound_tokens_per_s")
    aim = f"memory allows {bound:.0f}, reached {measured['tokens_per_s'] / bound:.0%}" if bound else ""
    return figure(
        f"{measured['streams']} stream{plural}, {how}", measured["tokens_per_s"], "tokens/s", aim=aim
    )
