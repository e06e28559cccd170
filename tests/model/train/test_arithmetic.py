"""The parts of the arithmetic that are our own, against the plain way to write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from scenario_model.data.documents import Document
from scenario_model.data.packing import pack
from scenario_model.tokens.loading import load_tokenizer
from scenario_model.train.adapters import fused_linear
from scenario_model.train.attention import packed_attention
from scenario_model.train.batches import Batches
from scenario_model.train.loss import head_loss
from scenario_model.train.model import load_model, trainable
from scenario_model.train.settings import Recipe

if TYPE_CHECKING:
    from pathlib import Path


def gradients(output: torch.Tensor, *leaves: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(output.sum() if output.dim() else output, leaves))


@pytest.mark.parametrize("tokens", [1, 127, 128, 129, 700])
@pytest.mark.parametrize("weight_trains", [True, False])
def test_the_head_loss_and_its_gradients_are_those_of_cross_entropy(tokens: int, weight_trains: bool) -> None:
    torch.manual_seed(tokens)
    hidden = torch.randn(tokens, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(50, 16, dtype=torch.float64, requires_grad=weight_trains)
    targets = torch.randint(50, (tokens,))
    leaves = [hidden, weight] if weight_trains else [hidden]
    ours = head_loss(hidden, weight, targets)
    plain = nn.functional.cross_entropy(hidden @ weight.t(), targets, reduction="sum")
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    for mine, theirs in zip(gradients(ours, *leaves), gradients(plain, *leaves), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("biased", [True, False])
def test_the_fused_adapter_is_the_sum_of_its_parts(biased: bool) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)
    weight, bias = (
        torch.randn(6, 8, dtype=torch.float64),
        torch.randn(6, dtype=torch.float64) if biased else None,
    )
    down = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    up = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    ours = fused_linear(inputs, weight, bias, down, up, 0.5)
    plain = nn.functional.linear(inputs, weight, bias) + 0.5 * (inputs @ down.t() @ up.t())
    assert torch.allclose(ours, plain)
    leaves = (inputs, down, up)
    for mine, theirs in zip(gradients(ours**2, *leaves), gradients(plain**2, *leaves), strict=True):
        assert torch.allclose(mine, theirs)


@pytest.mark.parametrize("lengths", [(7,), (3, 4), (1, 5, 1)])
def test_packed_attention_keeps_documents_apart(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    query = torch.randn(1, 4, 7, 8, requires_grad=True)
    key, value = (torch.randn(1, 2, 7, 8, requires_grad=True) for _ in range(2))
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mask = (document[:, None] == document[None, :]).tril()
    wide_key, wide_value = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    plain = nn.functional.scaled_dot_product_attention(query, wide_key, wide_value, attn_mask=mask).transpose(
        1, 2
    )
    ours, _ = packed_attention(nn.Identity(), query, key, value, None, lengths=lengths)
    assert torch.allclose(ours, plain, atol=1e-5)
    leaves = (query, key, value)
    for mine, theirs in zip(gradients(ours**2, *leaves), gradients(plain**2, *leaves), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_packed_loss_is_the_sum_of_the_documents_own_losses(tiny_foundation: Path, method: str) -> None:
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(tiny_foundation)
    texts = [
        "A first document about rivers.",
        "Another one.",
        "The third and last document is the longest of all.",
    ]
    packed = pack([Document(str(i), text) for i, text in enumerate(texts)], tokenizer, 64)
    recipe = Recipe(method=method, sequence_length=64, tokens_per_step=64)  # type: ignore[arg-type]
    (batch,) = Batches.of(packed, recipe).micro_batches(0, 0, 1)
    ours = load_model(tiny_foundation, recipe, bf16=False)(batch).item()
    plain_model = AutoModelForCausalLM.from_pretrained(
        tiny_foundation, dtype=torch.float32, local_files_only=True
    )
    expected = 0.0
    for text in texts:
        ids = torch.tensor([[*tokenizer(text).input_ids, tokenizer.eos_token_id]])
        logits = plain_model(ids).logits[0, :-1]
        expected += nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
    assert ours == pytest.approx(expected, rel=1e-5)


def test_a_lora_step_has_the_gradients_that_peft_alone_would_give(tiny_foundation: Path) -> None:
    recipe = Recipe(rank=4, sequence_length=64, tokens_per_step=64)
    packed = pack([Document("a", "A document about rivers and towns.")], load_tokenizer(tiny_foundation), 64)
    (batch,) = Batches.of(packed, recipe).micro_batches(0, 0, 1)
    torch.manual_seed(3)
    model = load_model(tiny_foundation, recipe, bf16=False)
    for name, parameter in trainable(model).items():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.02)
    parameters = list(trainable(model).values())
    ours = torch.autograd.grad(model(batch), parameters)
    for module in model.modules():
        module.__dict__.pop("forward", None)  # peft's own is behind it
    theirs = torch.autograd.grad(model(batch), parameters)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-5)
