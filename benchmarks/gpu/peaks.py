"""What GPUs can do at most: dense bf16 and memory from datasheets, and the best that was measured.

Datasheet figures are the table of the role gpu_validation, the one place for them, from NVIDIA's datasheets
of each card; where those print the rate "with sparsity", half of it is dense (H100 and H200 SXM: 1,979 and
989.5 TFLOP/s). MEASURED is what machines of this project reached with torch 2.11, an 8192 x 8192 x 8192
product of random bf16 matrices and a copy within memory, read plus written bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.role_commands import datasheets


@dataclass(frozen=True, slots=True)
class Rates:
    """Dense bf16 in TFLOP/s, memory in GB/s (read plus written)."""

    matmul_tflops: float
    memory_gb_s: float


MEASURED = {
    r"^NVIDIA H100 80GB HBM3$": Rates(798, 3000),
    r"^NVIDIA H200$": Rates(790, 4300),
}
"""By the name that the driver reports."""


def datasheet(name: str, table: list[dict[str, Any]] | None = None) -> Rates | None:
    """What the datasheet says of a GPU; None for one without a line. The first pattern that fits counts."""
    for entry in datasheets()["table"] if table is None else table:
        if re.search(entry["name"], name):
            return Rates(float(entry["matmul"]), float(entry["memory"]))
    return None


def measured(name: str) -> Rates | None:
    """The best that such a card was seen to reach; None for one that was never measured."""
    return next((rates for pattern, rates in MEASURED.items() if re.search(pattern, name)), None)
