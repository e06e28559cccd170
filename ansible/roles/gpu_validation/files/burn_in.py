"""Run by the model package's Python: load every GPU of this host, or its CPU, and print its figures.

Matrix products for the given seconds, always of the same two matrices: each result must equal the first bit for
bit, or the device is faulty. Then copies within memory, counted as read plus written bytes, as memory vendors
count them. All GPUs at once, because only then do power supply and cooling carry their full load.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

import torch

_GPU_SIZE, _CPU_SIZE = 8192, 1024
_GPU_BYTES, _CPU_BYTES = 2**31, 2**28
_COPIES = 10


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def number_type(device: torch.device) -> torch.dtype:
    """Return bf16 for GPUs that compute in it, fp16 for older ones, which emulate it, and fp32 for the CPU."""
    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def products(device: torch.device, seconds: float) -> tuple[float, list[str]]:
    """Multiply for a while; return TFLOP/s of the median batch, and any problems."""
    gpu = device.type == "cuda"
    size, kind = (_GPU_SIZE if gpu else _CPU_SIZE), number_type(device)
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator, device=device).to(kind) for _ in range(2))
    first = left @ right
    wrong = [] if bool(torch.isfinite(first).all()) else ["a product is not finite"]
    took: list[float] = []
    batch, begun = (20 if gpu else 4), time.monotonic()
    while not took or time.monotonic() - begun < seconds:
        _wait(device)
        start = time.monotonic()
        for _ in range(batch):
            again = left @ right
        _wait(device)
        took.append((time.monotonic() - start) / batch)
        if not torch.equal(again, first):
            wrong.append("the same product came out differently")
            break
    return 2 * size**3 / sorted(took)[len(took) // 2] / 1e12, wrong


def copies(device: torch.device) -> float:
    """Copy within memory; return GB/s of the median copy."""
    source = torch.ones(_GPU_BYTES if device.type == "cuda" else _CPU_BYTES, dtype=torch.uint8, device=device)
    target, took = torch.empty_like(source), []
    for _ in range(_COPIES):
        _wait(device)
        start = time.monotonic()
        target.copy_(source)
        _wait(device)
        took.append(time.monotonic() - start)
    return 2 * source.numel() / sorted(took)[len(took) // 2] / 1e9


def measure(device: torch.device, seconds: float) -> dict[str, object]:
    """Measure one device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    tflops, wrong = products(device, seconds)
    return {"name": name, "matmul_tflops": tflops, "memory_gb_s": copies(device), "wrong": wrong}


def measure_all(devices: list[torch.device], seconds: float) -> list[dict[str, object]]:
    """Measure all devices at the same time."""
    with ThreadPoolExecutor(len(devices)) as threads:
        return list(threads.map(lambda device: measure(device, seconds), devices))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="duration of the matrix products")
    seconds = parser.parse_args().seconds
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [torch.device("cuda", index) for index in range(number)] or [torch.device("cpu")]
    print(json.dumps({"devices": measure_all(devices, seconds)}))


if __name__ == "__main__":
    main()
