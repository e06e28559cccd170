"""Model FLOPs utilisation: which share of a device's arithmetic a training step uses.

    MFU = tokens/s x (F_weights + F_attention) / peak
    F_weights   = 6 per weight that trains, 4 per frozen one (LoRA), in each token
    F_attention = 6 x layers x width x length

F_weights: two operations per weight forward, two for the gradient of its input, two for its own gradient if
it trains (Kaplan et al. 2020, section 2.1); `scenario_model.train.run.flops_per_token` counts them.
F_attention: two products of 2 x width x length operations per layer and token forward, half of it because
attention is causal, and twice as much backward. PaLM (Chowdhery et al. 2022, appendix B) counts the whole
square, 12 x layers x width x length; the half here is what is computed. Nothing is counted twice for
recomputation, and none is used. Norms, activations, softmax and the optimizer do not count.

`peak` is the dense bf16 rate of the datasheet, and, as a second denominator, that of a large matrix product
measured in the same process.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PRODUCTS = {"cuda": 20, "cpu": 4}
_SIZES = {"cuda": 8192, "cpu": 1024}
_ROUNDS = 9


def attention_flops(*, layers: int, width: int, length: int) -> float:
    """Operations of causal attention's own products to train on one token of sequences of `length` tokens."""
    return 6.0 * layers * width * length


def mfu(tokens_per_s: float, flops_per_token: float, peak_flops: float) -> float:
    """The share, 0 to 1; `peak_flops` in operations per second, above 0."""
    return tokens_per_s * flops_per_token / peak_flops


def matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large square product of random matrices: the median of nine batches.

    Random numbers, since zeros and ones need less power and are up to a seventh faster. Takes less than a
    second.
    """
    import torch

    size, count = _SIZES[device.type], _PRODUCTS[device.type]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    took = []
    for _ in range(_ROUNDS + 1):
        wait(device)
        begun = time.perf_counter()
        for _ in range(count):
            left @ right
        wait(device)
        took.append((time.perf_counter() - begun) / count)
    return 2 * size**3 / statistics.median(took[1:])


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
