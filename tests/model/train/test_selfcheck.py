"""Packed training computes the model itself, or is refused before anything trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from scenario_model.errors import InputError
from scenario_model.train.attention import packed_attention, use_packed_attention
from scenario_model.train.selfcheck import check_packed, own_outputs

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=101,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config).eval()


def packed(model: Any) -> None:
    apart, mixed = own_outputs(model)
    use_packed_attention(model)
    check_packed(model, apart, mixed, "here")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_packs_as_it_should_passes(llama: Any, dtype: torch.dtype) -> None:
    packed(llama.to(dtype))


def drops_the_lengths(layer: Any) -> None:
    forward = layer.forward
    layer.forward = lambda *given, **more: forward(
        *given, **{k: v for k, v in more.items() if k != "lengths"}
    )


def has_sinks(layer: Any) -> None:
    forward = layer.self_attn.forward
    layer.self_attn.forward = lambda *given, **more: forward(*given, **more, s_aux=torch.ones(4))


def runs_on(layer: Any) -> None:
    """A state that a document hands to the next one, as a recurrent layer's."""
    forward = layer.forward
    layer.forward = lambda hidden, *given, **more: forward(hidden + hidden.cumsum(1) / 10, *given, **more)


@pytest.mark.parametrize(
    ("habit", "message"),
    [
        (drops_the_lengths, "its layers do not hand on the lengths of packed documents"),
        (has_sinks, "its attention has s_aux"),
        (runs_on, "its outputs are not those of the documents one by one"),
    ],
)
def test_what_would_train_another_model_is_refused_by_name(
    llama: Any, habit: Callable[[Any], None], message: str
) -> None:
    if habit is runs_on:
        habit(llama.model.layers[1])
        with pytest.raises(InputError, match=f"LlamaForCausalLM cannot be trained.*{message}"):
            packed(llama)
        return
    apart, mixed = own_outputs(llama)
    use_packed_attention(llama)
    habit(llama.model.layers[1])
    with pytest.raises(InputError, match=message):
        check_packed(llama, apart, mixed, "here")


@pytest.mark.parametrize("name", ["softcap", "s_aux", "position_bias", "not_yet_invented"])
def test_attention_with_more_to_it_is_an_error_and_not_ignored(name: str) -> None:
    tensor, more = torch.randn(1, 2, 4, 8), dict[str, Any]({name: 1.0})
    with pytest.raises(InputError, match=f"its attention has {name}"):
        packed_attention(nn.Identity(), tensor, tensor, tensor, None, lengths=(4,), **more)


def test_a_window_matters_only_where_a_document_exceeds_it() -> None:
    tensor = torch.randn(1, 2, 8, 8)
    plain, _ = packed_attention(nn.Identity(), tensor, tensor, tensor, None, lengths=(4, 4))
    windowed, _ = packed_attention(
        nn.Identity(), tensor, tensor, tensor, None, lengths=(4, 4), sliding_window=4
    )
    assert torch.equal(plain, windowed)
    with pytest.raises(
        InputError, match=r"has a window of 3 tokens; set recipe\.sequence_length to at most 3"
    ):
        packed_attention(nn.Identity(), tensor, tensor, tensor, None, lengths=(4, 4), sliding_window=3)
