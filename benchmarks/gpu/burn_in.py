"""Part `burn-in`: the role's own script, its floors, and how far a card is from what such cards reached."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.gpu import peaks
from benchmarks.gpu.ansible_modules import run_module
from benchmarks.gpu.context import figure, first_line
from benchmarks.gpu.machine import command
from benchmarks.gpu.role_commands import VALIDATION, counters, kernel_log, verdict

if TYPE_CHECKING:
    from benchmarks.gpu.context import Context

_SECONDS = {"cuda": 24.0, "cpu": 1.0}
_SAMPLE_S = 2.0
_SAMPLE = "clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_event_reasons.active"
_CLOSE = 0.95
"""Share of the known rate that a healthy card reaches."""
_UNITS = {"matmul_tflops": "TFLOP/s", "memory_gb_s": "GB/s"}


def run(context: Context) -> dict[str, Any]:
    """Run the script, judge its figures as the role does, and set them against known rates."""
    context.torch_device()
    hardware = run_module("gpu_hardware")
    seconds = _SECONDS[context.device]
    devices, samples = _burn(seconds, context.gpu)
    judged = verdict(devices, len(hardware.get("gpus", [])), counted=counters()[1], logged=kernel_log()[1])
    compared = [_compare(device) for device in devices]
    result = {"seconds": seconds, "devices": compared, "host_verdict": judged, "samples": samples}
    failures = judged.get("failures", [judged.get("msg")])
    figures = [line for device in compared for line in _figures(device)]
    return {
        **result,
        "figures": [*figures, figure("host_verdict", "; ".join(map(str, failures)) or "admitted")],
    }


def _burn(seconds: float, gpu: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The script's devices, and a line of clocks, power and temperature now and then meanwhile."""
    argv = [sys.executable, str(VALIDATION / "files" / "burn_in.py"), "--seconds", str(seconds)]
    samples = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                out, errors = process.communicate(timeout=_SAMPLE_S)
                break
            except subprocess.TimeoutExpired:
                if gpu:
                    samples.append(_sample())
    if process.returncode:
        last = first_line((errors.strip().splitlines() or ["no message"])[-1])
        raise RuntimeError(f"burn_in.py ended with {process.returncode}: {last}")
    devices: list[dict[str, Any]] = json.loads(out.strip().splitlines()[-1])["devices"]
    return devices, samples


def _sample() -> str:
    code, out, errors = command("nvidia-smi", f"--query-gpu={_SAMPLE}", "--format=csv,noheader")
    return out.strip().replace("\n", "; ") if code == 0 else first_line(errors or out)


def _compare(device: dict[str, Any]) -> dict[str, Any]:
    """A device of the burn-in with its shares of the known rate and of the datasheet's."""
    name = device["name"]
    found: dict[str, Any] = dict(device)
    for what, rates in (("known", peaks.measured(name)), ("datasheet", peaks.datasheet(name))):
        for key in _UNITS:
            rate = rates and getattr(rates, key)
            found[f"{key}_{what}"] = rate
            found[f"{key}_of_{what}"] = round(device[key] / rate, 3) if rate else None
    return found


def _figures(device: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for key, unit in _UNITS.items():
        known, share = device[f"{key}_known"], device[f"{key}_of_known"]
        aim = f"{_CLOSE:.0%} of {known:.4g} {unit}, reached {share:.0%}" if share else ""
        met = share >= _CLOSE if share else None
        what = "matrix product" if key == "matmul_tflops" else "memory copy"
        lines.append(
            figure(f"{device['name']}, {what}", round(float(device[key]), 3), unit, aim=aim, met=met)
        )
    wrong = "; ".join(device["wrong"]) or "none"
    return [*lines, figure(f"{device['name']}, wrong results", wrong, met=not device["wrong"])]
