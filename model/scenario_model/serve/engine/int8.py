"""Linear layers with int8 weights: a quarter of float32's memory traffic, on the CPU's integer units.

Weights: one scale per output, rounded to nearest (symmetric, 8 bits). Activations: one scale per row, 16
bits, kept as two planes of 8 bits, x = scale * (256 * high + low), so that one int8 matrix product of twice
the rows gives both. The only error is therefore that of the weights. Sums are exact integers: a row's result
does not depend on the other rows nor on their number.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

_LARGEST = 127 * 256  # of a 16-bit activation: its high plane stays within 8 bits, rounded up or down
_TINY = 1e-12


class Int8Linear(nn.Module):
    """Several linear layers with the same input as one, with concatenated outputs.

    weight: int8 [inputs, outputs] (a view of the row-major [outputs, inputs]); scale: float32 [outputs].
    """

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, layers: list[nn.Linear]) -> None:
        """Quantise the layers' weights."""
        super().__init__()
        self.sizes = [layer.out_features for layer in layers]
        quantised, scales = zip(*(_quantise(layer.weight) for layer in layers), strict=True)
        self.register_buffer("weight", torch.cat(quantised).t())
        self.register_buffer("scale", torch.cat(scales))
        biases = [layer.bias for layer in layers]
        self.bias = None if biases[0] is None else torch.cat([bias.detach() for bias in biases])

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Map [..., inputs] to [..., outputs], in the dtype that came in."""
        flat = rows.reshape(-1, rows.shape[-1])
        values = flat.float()
        step = values.abs().amax(-1, keepdim=True).clamp_min_(_TINY).mul_(1 / _LARGEST)
        values = (values / step).round_()
        high = (values * (1 / 256)).round_()
        low = values.sub_(high, alpha=256).clamp_max_(127)
        planes = torch.stack((high, low)).to(torch.int8).view(2 * flat.shape[0], flat.shape[1])
        sums = torch._int_mm(planes, self.weight).view(2, flat.shape[0], self.scale.shape[0])  # noqa: SLF001 - no public name
        out = torch.add(sums[1], sums[0].float(), alpha=256).mul_(step).mul_(self.scale)
        if self.bias is not None:
            out += self.bias
        return out.to(rows.dtype).view(*rows.shape[:-1], self.scale.shape[0])


def _quantise(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int8 [outputs, inputs] and the float32 scale of every output."""
    weight = weight.detach().float()
    scale = weight.abs().amax(1).clamp_min(_TINY) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


class _Part(nn.Module):
    """One of the joined layers: takes its part of the output that the first one computed for all."""

    def __init__(self, joint: Int8Linear, siblings: dict[str, torch.Tensor | None], index: int) -> None:
        super().__init__()
        self._joint, self._shared, self._index = joint, siblings, index
        begin = sum(joint.sizes[:index])
        self._columns = slice(begin, begin + joint.sizes[index])

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if self._shared["input"] is not rows:
            self._shared["input"], self._shared["output"] = rows, self._joint(rows)
        part = cast("torch.Tensor", self._shared["output"])[..., self._columns]
        if self._index == len(self._joint.sizes) - 1:
            self._shared["input"] = self._shared["output"] = None
        return part


# Layers of one module with the same input, by their names in Hugging Face architectures.
_SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def quantise_linears(network: nn.Module) -> None:
    """Replace every linear layer of `network`, joining those with the same input."""
    for module in list(network.modules()):
        linears = {name: child for name, child in module.named_children() if isinstance(child, nn.Linear)}
        for names in _SIBLINGS:
            layers = [linears.pop(name) for name in names if name in linears]
            if len(layers) == len(names) and len({layer.bias is None for layer in layers}) == 1:
                joint, shared = Int8Linear(layers), dict[str, torch.Tensor | None](input=None, output=None)
                for index, name in enumerate(names):
                    setattr(module, name, _Part(joint, shared, index))
            else:
                linears.update(zip(names, layers, strict=False))
        for name, layer in linears.items():
            setattr(module, name, Int8Linear([layer]))
