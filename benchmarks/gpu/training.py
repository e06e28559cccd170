"""Part `training`: MFU of our training loop on a Llama of random weights; the formula is in mfu.py.

One step is `scenario_model.train.loop.Training.one_step`, as a run makes it: packed rows, our loss, clipping,
AdamW, deterministic operations. Weights that train are float32 with bf16 arithmetic, frozen ones bf16. Each
row is one document of the full length. Compiled means layer by layer, which the package itself does not do
yet. FSDP of one is `fully_shard` over a process group of one: its cost without any communication. The last
configuration leaves determinism out, which no run of ours does: it shows what that costs.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu import mfu, peaks
from benchmarks.gpu.context import figure, first_line
from benchmarks.gpu.models import ONE_BILLION, SMALL, Shape
from benchmarks.gpu.training_setup import Job, build, close

if TYPE_CHECKING:
    from benchmarks.gpu.context import Context

_AIM = 0.45
_LEAST_S = 12.0
"""A configuration is not begun with less time left on a GPU."""
_WARM_UP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Tokens in a row (`length`), rows in a micro-batch, micro-batches in a step, and steps that count."""

    shape: Shape
    length: int
    rows: int
    micro_batches: int
    steps: int


_SCALES = {
    "cuda": Scale(shape=ONE_BILLION, length=2048, rows=8, micro_batches=4, steps=5),
    "cpu": Scale(shape=SMALL, length=128, rows=2, micro_batches=2, steps=2),
}
_JOBS = (
    Job(method="lora"),
    Job(method="full"),
    Job(method="full", compiled=True),
    Job(method="lora", compiled=True),
    Job(method="full", fsdp=True),
    Job(method="full", deterministic=False),
)


def run(context: Context) -> dict[str, Any]:
    """Measure every configuration that there is time for; each that fails has its reason."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as a run sets it
    device = context.torch_device()
    dtype = torch.bfloat16 if context.gpu else torch.float32
    sheet = peaks.datasheet(torch.cuda.get_device_name(device)) if context.gpu else None
    result: dict[str, Any] = {
        "scale": asdict(_SCALES[context.device]),
        "dtype": str(dtype).removeprefix("torch."),
        "datasheet_tflops": sheet and sheet.matmul_tflops,
        "configurations": [],
        "figures": [],
    }
    for job in _JOBS:
        measured = _attempt(job, context, result)
        result["configurations"].append(measured)
        result["figures"].append(_figure(measured, context))
        context.note(result)
    if all("reason" in each for each in result["configurations"]):
        raise RuntimeError(f"no configuration could be measured: {result['configurations'][0]['reason']}")
    return result


def _attempt(job: Job, context: Context, about: dict[str, Any]) -> dict[str, Any]:
    """Measure one configuration, with half the rows as long as memory does not suffice."""
    scale = _SCALES[context.device]
    named = {"name": job.name, **asdict(job)}
    rows = scale.rows
    while rows:
        if context.gpu and context.remaining() < _LEAST_S:
            return named | {"reason": "no time left for it"}
        try:
            return named | _measure(job, context, scale, rows, about)
        except torch.OutOfMemoryError:
            rows //= 2
        except Exception as error:  # noqa: BLE001 - the next configuration may work
            return named | {"reason": first_line(error)}
        finally:
            _clean_up()
    return named | {"reason": "not enough memory for one row"}


def _measure(job: Job, context: Context, scale: Scale, rows: int, about: dict[str, Any]) -> dict[str, Any]:
    device = torch.device(context.device)
    # In front of each configuration: clocks change with the temperature, and a CPU may be shared.
    product = mfu.matmul_flops(device, getattr(torch, about["dtype"])) / 1e12
    begun = time.perf_counter()
    torch.use_deterministic_algorithms(job.deterministic)
    built = build(job, context, scale.shape, length=scale.length, rows=rows, per_step=scale.micro_batches)
    if context.gpu:
        torch.cuda.reset_peak_memory_stats(device)
    took, losses = [], []
    for step in range(_WARM_UP + scale.steps):
        mfu.wait(device)
        start = time.perf_counter()
        losses.append(built.training.one_step(step))
        mfu.wait(device)
        took.append(time.perf_counter() - start)
        if step == _WARM_UP - 1:
            ready = time.perf_counter() - begun
    if job.profiled:
        _profile(context, built.training, _WARM_UP + scale.steps)
    tokens = rows * scale.length * scale.micro_batches
    speed = tokens / statistics.median(took[_WARM_UP:])
    shares = _shares(speed, built.flops_per_token, scale, about["datasheet_tflops"], product)
    return shares | {
        "matmul_tflops": round(product, 4),
        "tokens_per_step": tokens,
        "tokens_per_micro_batch": rows * scale.length,
        "parameters": built.parameters,
        "parameters_trained": sum(each.numel() for each in built.training.parameters.values()),
        "step_seconds": [round(each, 4) for each in took[_WARM_UP:]],
        "seconds_until_warm": round(ready, 1),
        "memory_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 1) if context.gpu else None,
        "losses": [round(loss, 4) for loss in losses],
    }


def _shares(
    speed: float, weights: float, scale: Scale, sheet: float | None, product: float
) -> dict[str, Any]:
    """Tokens per second as MFU against the datasheet and against the measured product, both in TFLOP/s."""
    shape = scale.shape
    attention = mfu.attention_flops(layers=shape.layers, width=shape.width, length=scale.length)
    return {
        "tokens_per_s": round(speed, 1),
        "flops_per_token": {"weights": weights, "attention": attention},
        "mfu_datasheet": round(mfu.mfu(speed, weights + attention, sheet * 1e12), 4) if sheet else None,
        "mfu_measured": round(mfu.mfu(speed, weights + attention, product * 1e12), 4),
        "mfu_measured_weights_only": round(mfu.mfu(speed, weights, product * 1e12), 4),
    }


def _figure(measured: dict[str, Any], context: Context) -> dict[str, Any]:
    name = f"MFU, {measured['name']}"
    if "reason" in measured:
        return figure(name, f"not measured: {measured['reason']}")
    share, of_product = measured["mfu_datasheet"], measured["mfu_measured"]
    text = f"{measured['tokens_per_s']:.0f} tokens/s"
    if not context.gpu:
        return figure(name, f"{text} with a small shape, where a share says nothing")
    text = f"{of_product:.1%} of the measured product, {text}"
    if share is None:
        return figure(name, text)
    return figure(name, f"{share:.1%}; {text}", aim=f"at least {_AIM:.0%}", met=share >= _AIM)


def _profile(context: Context, training: Any, step: int) -> None:
    """Record which operations one more step spends its time in; a failure is recorded in its place."""
    kinds = torch.profiler.ProfilerActivity
    try:
        with torch.profiler.profile(activities=[kinds.CPU, *([kinds.CUDA] if context.gpu else [])]) as seen:
            training.one_step(step)
        key = "self_device_time_total" if context.gpu else "self_cpu_time_total"
        text = seen.key_averages().table(sort_by=key, row_limit=30, max_name_column_width=70)
    except Exception as error:  # noqa: BLE001 - a profile is an extra
        text = first_line(error) + "\n"
    context.record("training-profile.txt", text)


def _clean_up() -> None:
    close()
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
