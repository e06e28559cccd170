"""Measures this machine: speed of a plain matrix product, the faster number format, memory in use."""

from __future__ import annotations

import os
import resource
import sys
import time

import torch

_SIZE = {"cpu": 768, "cuda": 4096}
_BUDGET_SECONDS = 0.2


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a square matrix product, the best of many; takes 0.2 s.

    On a CPU: of one thread in CPU time, independent of other load, times the number of threads.
    """
    threads = torch.get_num_threads()
    size = _SIZE[device.type]
    left = torch.ones(size, size, dtype=dtype, device=device)
    torch.set_num_threads(1)
    try:
        _timed_product(left)
        best, begun = float("inf"), time.perf_counter()
        while time.perf_counter() - begun < _BUDGET_SECONDS or best == float("inf"):
            best = min(best, _timed_product(left))
    finally:
        torch.set_num_threads(threads)
    return 2 * size**3 / best * (threads if device.type == "cpu" else 1)


def bf16_is_faster(device: torch.device) -> bool:
    """Whether products in bfloat16 are at least 1.2 times as fast as in float32, as measured here.

    Many processors emulate bfloat16, and some with native instructions are slower nevertheless.
    """
    return matmul_peak(device, torch.bfloat16) > 1.2 * matmul_peak(device, torch.float32)


def memory_in_use(device: torch.device) -> int:
    """Peak bytes used by this process so far: of the GPU, or resident."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_there(device: torch.device) -> int:
    """The device's memory in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def default_threads() -> int:
    """Threads per process: torch's default for a single one, else an equal share of the cores."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return torch.get_num_threads() if processes == 1 else max(1, len(os.sched_getaffinity(0)) // processes)


def _timed_product(left: torch.Tensor) -> float:
    """Seconds of one product: of the GPU, or of this thread on the CPU."""
    if left.device.type == "cpu":
        begun = time.thread_time()
        left @ left
        return time.thread_time() - begun
    begun = time.perf_counter()
    left @ left
    torch.cuda.synchronize(left.device)
    return time.perf_counter() - begun
