"""Next-token loss straight from hidden states: the [tokens, vocabulary] scores are never materialised.

The head's product, softmax and gradient are computed for a few rows at a time and stay in the processor's
cache; the gradient is computed in the forward pass, where its inputs are available. The idea is known from
Liger Kernel and "Cut Your Losses" (Wijmans et al., 2024); this is plain torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 128
_ROWS_WITH_WEIGHT = 512  # each chunk passes once over the whole gradient of the weight, so fewer are better


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        weight_cast = weight.to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(weight) if need_weight else None
        count = _ROWS_WITH_WEIGHT if need_weight else _ROWS
        for start in range(0, len(hidden), count):
            rows = slice(start, start + count)
            chunk, wanted = hidden[rows], targets[rows].unsqueeze(1)
            scores = torch.log_softmax(chunk @ weight_cast.t(), -1, dtype=torch.float32)
            total -= scores.gather(1, wanted).sum()
            if not (need_hidden or need_weight):
                continue
            slope = scores.exp_()
            slope[torch.arange(len(slope), device=slope.device), targets[rows]] -= 1
            slope = slope.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(slope, weight_cast, out=grad_hidden[rows])
            if grad_weight is not None and grad_weight.dtype == slope.dtype:
                grad_weight.addmm_(slope.t(), chunk)
            elif grad_weight is not None:
                grad_weight += slope.t() @ chunk
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            None if grad_hidden is None else grad_hidden * outer[0].to(grad_hidden.dtype),
            None if grad_weight is None else grad_weight * outer[0].to(grad_weight.dtype),
            None,
        )


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Sum of the cross-entropy, in nats, of softmax(hidden @ weight.T) against targets; float32 scalar.

    hidden [tokens, width]; weight [vocabulary, width]; targets [tokens] int64. Differentiable once in the
    first two.
    """
    total: Tensor = _HeadLoss.apply(hidden, weight, targets)
    return total
