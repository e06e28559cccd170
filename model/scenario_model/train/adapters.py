"""LoRA: adapters created and merged by peft, their product fused with the frozen layer's.

peft runs `base(x) + B(A(x)) * scale` as five operations on large activations, and autograd as many more
backward. Here the low-rank products are added into the large ones in place, forward and backward: the same
sums, fewer passes.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from scenario_model.train.settings import Recipe

_ADAPTER = "default"


def add_adapters(model: Any, recipe: Recipe) -> Any:
    """Freeze `model` and add float32 adapters to every linear layer except the head; returns peft's model."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import Linear

    # A router of experts may be a linear layer that returns more than its product: peft could not adapt it.
    others = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and type(module).forward is not nn.Linear.forward
    ]
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules="all-linear",
        exclude_modules=others or None,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft 0.21 uses a name that transformers 5.23 deprecates, turns GPT-2's transposed layers round by itself, and
        # looks for fused experts where a model has none.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match")
        warnings.filterwarnings("ignore", "target_parameters=.* were set but no parameter was matched")
        model = get_peft_model(model, config, adapter_name=_ADAPTER)
    for module in model.modules():
        # peft's layer also adapts others, such as GPT-2's transposed ones: those keep its own forward pass.
        if isinstance(module, Linear) and type(module.base_layer) is nn.Linear:
            module.forward = _Fused(module)
    return model


class _Fused:
    """The forward pass of one of peft's linear layers."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, inputs: Tensor) -> Tensor:
        layer = self._layer
        base = layer.base_layer
        down, up = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
        kind = base.weight.dtype
        return fused_linear(
            inputs.to(kind), base.weight, base.bias, down.to(kind), up.to(kind), layer.scaling[_ADAPTER]
        )


def fused_linear(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
) -> Tensor:
    """inputs @ weight.T + bias + scale * inputs @ down.T @ up.T.

    inputs [..., in]; weight [out, in] and bias [out], frozen; down [rank, in]; up [out, rank]; all of one
    type.
    """
    outputs: Tensor = _FusedLinear.apply(inputs, weight, bias, down, up, scale)
    return outputs


class _FusedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
    ) -> Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        narrow = rows @ down.t()
        outputs = nn.functional.linear(inputs, weight, bias)
        outputs.view(-1, outputs.shape[-1]).addmm_(narrow, up.t(), alpha=scale)
        ctx.save_for_backward(rows, weight, down, up, narrow)
        ctx.scale, ctx.shape = scale, inputs.shape
        return outputs  # itself, not a view of it: some layers change what they get in place

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        rows, weight, down, up, narrow = ctx.saved_tensors
        slope = outer[0].reshape(-1, outer[0].shape[-1])
        narrow_slope = (slope @ up).mul_(ctx.scale)
        grad_inputs = None
        if ctx.needs_input_grad[0]:
            grad_inputs = torch.mm(slope, weight).addmm_(narrow_slope, down).view(ctx.shape)
        grad_up = (slope.t() @ narrow).mul_(ctx.scale)
        return grad_inputs, None, None, narrow_slope.t() @ rows, grad_up, None
