"""Checks that the cache fits before it is allocated, instead of being killed by the kernel."""

from __future__ import annotations

from pathlib import Path

import torch

from scenario_model.errors import InputError

_LEAST_CONTEXT = 2048
_LIMITS = (
    # (limit, use) of the control group: version 2, then 1.
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def refuse_if_too_big(needed: int, device: torch.device, purpose: str) -> None:
    """Raise InputError, with both numbers, if `needed` bytes exceed the free memory of the device."""
    available = _available(device)
    if needed > available:
        raise InputError(
            f"the key/value cache of {purpose} needs {needed:,} bytes, but {available:,} are free",
            where=f"engine on {device}",
            remedy="lower max_sequences or max_context",
        )


def context_that_fits(own: int, bytes_per_token: int, device: torch.device) -> int:
    """The model's own context, halved until a cache of so many bytes per token of it is small enough by default.

    That is a quarter of the free memory; it does not go below `_LEAST_CONTEXT`, or the model's own.
    """
    context, limit = own, _available(device) // 4
    while context * bytes_per_token > limit and context > _LEAST_CONTEXT:
        context = max(_LEAST_CONTEXT, context // 2)
    return context


def _available(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    for limit, use in _LIMITS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(use).read_text()))
        except (OSError, ValueError):  # another version of control groups, or no limit ("max")
            continue
    return free
