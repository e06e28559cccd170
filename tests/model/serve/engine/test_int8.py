"""Eight-bit weights: as exact as they can be, and no row knows of another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scenario_model.serve.engine.int8 import Int8Linear, quantise_linears


def _linear(inputs: int, outputs: int, *, bias: bool, seed: int) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(inputs, outputs, bias=bias)


def _rows(count: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    rows = torch.randn(count, width, generator=generator) * torch.logspace(-4, 4, count)[:, None]
    rows[:, 3] *= 50  # outliers, as activations have them
    return rows


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_only_the_weights_are_rounded(bias: bool) -> None:
    first, second = (_linear(96, outputs, bias=bias, seed=outputs) for outputs in (40, 24))
    joint, rows = Int8Linear([first, second]), _rows(17, 96)
    for layer, got in zip((first, second), joint(rows).split([40, 24], -1), strict=True):
        scale = layer.weight.double().abs().amax(1, keepdim=True) / 127
        rounded = (layer.weight.double() / scale).round() * scale
        expected = rows.double() @ rounded.t() + (layer.bias.double() if bias else 0)
        bound = rows.double().abs().amax(1, keepdim=True) * rounded.abs().sum(1) / (127 * 256)
        assert ((got - expected).abs() <= bound + 1e-6).all()


@torch.inference_mode()
def test_a_row_is_the_same_to_the_last_bit_whatever_rows_are_beside_it() -> None:
    layer, rows = Int8Linear([_linear(128, 64, bias=False, seed=1)]), _rows(33, 128)
    together = layer(rows)
    for row in range(33):
        assert torch.equal(layer(rows[row : row + 1])[0], together[row])


@torch.inference_mode()
def test_rows_of_zeros_and_no_rows_at_all() -> None:
    layer = Int8Linear([_linear(32, 16, bias=False, seed=2)])
    assert torch.equal(layer(torch.zeros(2, 32)), torch.zeros(2, 16))
    assert layer(torch.zeros(1, 0, 32)).shape == (1, 0, 16)


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj = _linear(32, 48, bias=False, seed=3), _linear(32, 16, bias=False, seed=4)
        self.v_proj, self.o_proj = _linear(32, 16, bias=False, seed=5), _linear(48, 32, bias=False, seed=6)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        merged = self.q_proj(rows) + self.k_proj(rows).repeat(1, 3) * self.v_proj(rows).repeat(1, 3)
        out: torch.Tensor = self.o_proj(merged)
        return out


@torch.inference_mode()
def test_layers_of_the_same_input_are_joined_and_compute_the_same() -> None:
    module, rows = _Attention(), _rows(5, 32) / 1000
    first = module(rows)
    quantise_linears(module)
    assert not [child for child in module.modules() if isinstance(child, nn.Linear)]
    for _ in range(2):
        assert float((module(rows) - first).norm() / first.norm()) < 0.02
