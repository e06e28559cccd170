#!/usr/bin/python
"""Ansible module: decide whether a host may train and serve, from its measurements and kernel log."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.gpu_errors import logged_errors

DOCUMENTATION = r"""
module: host_verdict
short_description: Decide whether a host may train and serve
description: ['Compares measurements with floors, checks for errors, lists every problem. Changes nothing.']
options:
  devices: {type: list, elements: dict, required: true, description: [Output of the burn-in.]}
  gpu_count: {type: int, required: true, description: ['GPUs of the host, according to the hardware.']}
  table: {type: list, elements: dict, required: true, description: ['Datasheet figures, by name.']}
  shares: {type: dict, required: true, description: [The share of them to reach.]}
  floors: {type: dict, default: {}, description: ['Floors that override the table, in TFLOP/s and GB/s.']}
  cpu_floor_gflops: {type: float, required: true, description: [Floor of a CPU.]}
  counters: {type: str, default: "", description: ['Memory errors by nvidia-smi, one GPU per line.']}
  kernel_log: {type: str, default: "", description: [Lines of the kernel's log since the host started.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
failures: {type: list, elements: str, returned: always, description: ['Empty if the host is suitable.']}
reached:
  type: list
  elements: dict
  returned: always
  description: ['What each device reached, in TFLOP/s and GB/s, to three digits.']
summary: {type: str, returned: always, description: [The same in one line.]}
"""

_FIGURES = ("matmul_tflops", "memory_gb_s")
_COUNTERS = (
    "uncorrected memory errors",
    "row remapping that waits for a reset",
    "row remapping that failed",
    "page retirement that waits for a reset",
    "recovery action recommended by the driver",
)
"""What the columns after a GPU's index say; the column after these is its MIG mode."""
_HEALTHY = frozenset({"0", "No", "None", "N/A", "[N/A]", "[Not Supported]"})
"""Recorded with drivers 590 to 610. A GPU without ECC memory, or in MIG mode, answers [N/A]."""
_VGPU = re.compile(r"-(\d+-)?\d+([ABCQ]|CME)$")
"""The end of a virtual GPU's name: profile, with the number of slices before it if it is a part of a MIG GPU."""


def floors_of(name: str, table: list[dict[str, Any]], shares: dict[str, float]) -> dict[str, float] | None:
    """Return the floors of a GPU by the name that the driver reports; None for a part of a GPU or an unknown one."""
    if _is_a_part(name):
        return None
    for entry in table:
        if re.search(entry["name"], name):
            share = float(entry.get("matmul_share", shares["matmul"]))
            return {
                "matmul_tflops": entry["matmul"] * share,
                "memory_gb_s": entry["memory"] * float(shares["memory"]),
            }
    return None


def too_slow(number: int, device: dict[str, Any], floors: dict[str, float]) -> list[str]:
    """List the floors that a device misses."""
    said = {"matmul_tflops": "matmul {:.3g} TFLOP/s", "memory_gb_s": "memory {:.3g} GB/s"}
    return [
        f"{device['name']} {number}: {said[key].format(float(device[key]))}, floor {floor:.3g}"
        for key, floor in floors.items()
        if not float(device[key]) >= floor  # NaN counts as too slow
    ]


def counted_errors(text: str) -> list[str]:
    """List what is not a healthy GPU's value, values that are not known included."""
    return [
        f"GPU {index}: {what}: {value}"
        for index, *values in _rows(text)
        for what, value in zip(_COUNTERS, values, strict=False)
        if value not in _HEALTHY
    ]


def split_gpus(text: str) -> list[str]:
    """Return the indexes of GPUs in MIG mode, which CUDA shows to a process as one slice."""
    column = 1 + len(_COUNTERS)
    return [row[0] for row in _rows(text) if row[column:] == ["Enabled"]]


def _rows(text: str) -> list[list[str]]:
    return [[word.strip() for word in line.split(",")] for line in text.splitlines() if line.strip()]


def _is_a_part(name: str) -> bool:
    return " MIG " in name or _VGPU.search(name) is not None


def _without_floors(name: str) -> str:
    if _is_a_part(name):
        return (
            f"{name} is a part of a GPU, and the table has floors of whole ones; set gpu_validation_floors, "
            "or end MIG mode (nvidia-smi -mig 0)"
        )
    return f"{name} is not in the table of floors; set gpu_validation_floors"


def judge(options: dict[str, Any]) -> list[str]:
    """Collect every problem of a host."""
    devices, failures = options["devices"], []
    gpus = [each for each in devices if each["name"] != "CPU"]
    sliced = bool(gpus) and bool(split_gpus(options["counters"]))
    if len(gpus) != options["gpu_count"] and not sliced:
        failures.append(f"torch sees {len(gpus)} GPUs of {options['gpu_count']}")
    for number, device in enumerate(devices):
        failures += [f"{device['name']} {number}: {what}" for what in device["wrong"]]
        if device["name"] == "CPU":
            floors: dict[str, float] | None = {"matmul_tflops": options["cpu_floor_gflops"] / 1000}
        else:
            floors = options["floors"] or floors_of(device["name"], options["table"], options["shares"])
        if floors is None:
            failures.append(_without_floors(device["name"]))
        else:
            failures += too_slow(number, device, {key: float(value) for key, value in floors.items()})
    return [*failures, *counted_errors(options["counters"]), *logged_errors(options["kernel_log"])]


def main() -> None:
    """Evaluate and return the result."""
    spec: dict[str, Any] = {
        "devices": {"type": "list", "elements": "dict", "required": True},
        "gpu_count": {"type": "int", "required": True},
        "table": {"type": "list", "elements": "dict", "required": True},
        "shares": {"type": "dict", "required": True},
        "floors": {"type": "dict", "default": {}},
        "cpu_floor_gflops": {"type": "float", "required": True},
        "counters": {"type": "str", "default": ""},
        "kernel_log": {"type": "str", "default": ""},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    reached = [
        {"name": each["name"]} | {key: float(f"{float(each[key]):.3g}") for key in _FIGURES}
        for each in module.params["devices"]
    ]
    summary = "; ".join(
        f"{each['name']}: {each['matmul_tflops']:.3g} TFLOP/s, {each['memory_gb_s']:.3g} GB/s"
        for each in reached
    )
    module.exit_json(changed=False, failures=judge(module.params), reached=reached, summary=summary)


if __name__ == "__main__":
    main()
