"""Part `resume`: a training run that is stopped or killed and resumed ends with the same bits.

For each method there are two runs of the same plan in folders of their own: one that nothing happens to, and
one that is interrupted after a few steps, `full` by SIGTERM (which saves first) and `lora` by SIGKILL (so it
goes back to the last checkpoint), then resumed in a new process. The saved models are float32, so nothing is
rounded away before they are compared; so are the losses of every step.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.context import figure, first_line
from benchmarks.gpu.models import TINY, write_checkpoint, write_config, write_texts

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.gpu.context import Context

_STEPS = 8
_CUT_AFTER = {"full": 5, "lora": 5}
"""Steps; a checkpoint is made every second one."""


def run(context: Context) -> dict[str, Any]:
    """Train whole, cut and resumed; compare."""
    import torch

    from scenario_model.foundation.importer import import_foundation

    context.torch_device()
    folder = context.scratch / "resume"
    checkpoint = write_checkpoint(folder / "checkpoint", TINY, torch.device("cpu"), torch.float32)
    import_foundation(checkpoint, folder / "foundation", max_perplexity=float("inf"))
    write_texts(folder / "texts", documents=24, words=120)
    configs = {
        (method, run): _config(context, folder, method, run)
        for method in _CUT_AFTER
        for run in ("whole", "cut")
    }
    first = _train(
        context,
        configs["full", "whole"], configs["lora", "whole"],
        f"{configs['full', 'cut']}:{_CUT_AFTER['full']}:SIGTERM",
        f"{configs['lora', 'cut']}:{_CUT_AFTER['lora']}:SIGKILL",
    )  # fmt: skip
    if first.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the first process was to end by SIGKILL: {_last(first)}")
    second = _train(context, configs["full", "cut"], configs["lora", "cut"])
    if second.returncode:
        raise RuntimeError(f"the resumed runs failed: {_last(second)}")
    went_on = re.findall(r"resuming after step (\d+)", second.stderr)
    compared = {method: _compare(folder, method) for method in _CUT_AFTER}
    for method, step in zip(compared, went_on, strict=True):
        compared[method]["resumed_after_step"] = int(step)
    return {
        "device": context.device,
        "runs": compared,
        "figures": [_figure(*each) for each in compared.items()],
    }


def _config(context: Context, folder: Path, method: str, run: str) -> Path:
    return write_config(
        folder / f"{method}-{run}.json",
        foundation=str(folder / "foundation"),
        runs=str(folder / method / run),
        data={"kind": "text", "path": str(folder / "texts"), "held_out": 0.4},
        recipe={
            "method": method,
            "max_steps": _STEPS,
            "epochs": 100,
            "sequence_length": 64,
            "tokens_per_step": 256,
            "micro_batch": 2,
            "checkpoint_every_steps": 2,
            "dtype": "bf16" if context.gpu else "fp32",
        },
    )


def _train(context: Context, *arguments: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "benchmarks.gpu.resume_runs", *map(str, arguments)]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=max(1.0, context.remaining()), check=False
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return f"exit code {done.returncode}, {first_line(lines[-1]) if lines else 'no message'}"


def _compare(folder: Path, method: str) -> dict[str, Any]:
    """What both runs of a method came to: number of weights, those that differ, losses, steps done twice."""
    import torch
    from safetensors.torch import load_file

    whole, cut = (next((folder / method / run).iterdir()) for run in ("whole", "cut"))
    results = [json.loads((each / "result.json").read_text(encoding="utf-8")) for each in (whole, cut)]
    losses = [_losses(each / "progress.jsonl") for each in (whole, cut)]
    weights = [load_file(each / "model" / "model.safetensors") for each in (whole, cut)]
    bits = [{name: each.view(torch.int32) for name, each in tensors.items()} for tensors in weights]
    differing = sum(int((bits[0][name] != bits[1][name]).sum()) for name in bits[0])
    record = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    return {
        "interrupted_by": "SIGTERM" if method == "full" else "SIGKILL",
        "interrupted_after_step": _CUT_AFTER[method],
        "steps": results[0]["steps"],
        "dtype": record["environment"]["dtype"],
        "same_digest": results[0]["model"] == results[1]["model"],
        "weights": sum(each.numel() for each in weights[0].values()),
        "weights_that_differ": differing,
        "same_losses": losses[0] == losses[1],
        "first_and_last_loss": [losses[0][0], losses[0][-1]],
    }


def _losses(progress: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in progress.read_text(encoding="utf-8").splitlines()]


def _figure(method: str, found: dict[str, Any]) -> dict[str, Any]:
    cut, going_on = found["interrupted_after_step"], found["resumed_after_step"]
    how = f"{found['interrupted_by']} after step {cut} of {found['steps']}, resumed after step {going_on}"
    value = (
        f"{found['weights_that_differ']} of {found['weights']} weights differ ({found['dtype']} arithmetic)"
    )
    same = found["same_digest"] and found["same_losses"] and not found["weights_that_differ"]
    return figure(f"{method}, {how}", value, aim="same bits", met=same)
