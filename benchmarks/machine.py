"""What this machine could do at best: memory read and matrix products, measured now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def read_bandwidth(size: int = 2**29, repeats: int = 7) -> float:
    """Bytes per second at which all threads read memory: a sum over `size` bytes, the best of `repeats`."""
    values = torch.ones(size // 4)
    return size / _fastest(values.sum, repeats)


def matmul_speed(dtype: torch.dtype, size: int = 1024, repeats: int = 7) -> float:
    """Operations per second of a square matrix product of this dtype (int8: into int32)."""
    if dtype == torch.int8:
        whole = torch.randint(-99, 99, (size, size), dtype=dtype)
        return 2 * size**3 / _fastest(lambda: torch._int_mm(whole, whole.t()), repeats)  # noqa: SLF001
    values = torch.randn(size, size).to(dtype)
    return 2 * size**3 / _fastest(lambda: values @ values, repeats)


def _fastest(work: Callable[[], object], repeats: int) -> float:
    work()
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
