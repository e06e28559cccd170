"""The model in training: a Hugging Face causal language model, with adapters or in full, and its loss."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from scenario_model.data.packing import IGNORED
from scenario_model.foundation.source import CARRIED
from scenario_model.train.adapters import add_adapters
from scenario_model.train.attention import use_packed_attention
from scenario_model.train.loss import head_loss
from scenario_model.train.selfcheck import check_packed, own_outputs

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.train.batches import MicroBatch
    from scenario_model.train.settings import Recipe

_TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "vocab*",
    "merges*",
)


class LossModel(nn.Module):
    """Maps a micro-batch to the sum of its loss; what DDP and FSDP wrap.

    Trainable parameters are float32, frozen ones have the compute dtype, so that no step casts them.
    """

    def __init__(self, model: Any, *, bf16: bool, direct_head: bool) -> None:
        super().__init__()
        self.model = model
        self.bf16 = bf16
        self.direct_head = direct_head

    def forward(self, batch: MicroBatch) -> Tensor:
        """Sum over all targets of the cross-entropy in nats, a float32 scalar."""
        wanted = batch.targets != IGNORED
        with torch.autocast(batch.tokens.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            causal = {
                "input_ids": batch.tokens,
                "position_ids": batch.positions,
                "lengths": batch.lengths,
                "use_cache": False,
            }
            if not self.direct_head:
                scores = self.model(**causal).logits[wanted].float()
                return nn.functional.cross_entropy(scores, batch.targets[wanted], reduction="sum")
            hidden = _decoder(self.model)(**causal).last_hidden_state[wanted]
        if self.bf16:
            hidden = hidden.to(torch.bfloat16)
        return head_loss(hidden, self.model.get_output_embeddings().weight, batch.targets[wanted])


def load_model(foundation: Path, recipe: Recipe, *, bf16: bool) -> LossModel:
    """The foundation model prepared for the recipe's method, on the CPU.

    Adapters are initialised from torch's random generator.
    """
    frozen = torch.bfloat16 if bf16 else torch.float32
    model = _load(foundation, frozen if recipe.method == "lora" else torch.float32)
    direct_head = _head_is_plain(model)
    apart, mixed = own_outputs(model)
    use_packed_attention(model)
    check_packed(model, apart, mixed, str(foundation))
    if recipe.recompute:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if recipe.method == "lora":
        model = add_adapters(model, recipe)
    model.train()
    return LossModel(model, bf16=bf16, direct_head=direct_head)


def trainable(model: LossModel) -> dict[str, nn.Parameter]:
    """The trainable parameters by name, in a fixed order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_trained(tensors: dict[str, Tensor], foundation: Path, recipe: Recipe, directory: Path) -> None:
    """Write the model with trained `tensors` (all of `trainable`) to `directory` in Hugging Face layout.

    Adapters are merged in float32; the weights get the foundation model's dtype, and its tokenizer is included.
    """
    model = load_model(foundation, recipe, bf16=False)
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            parameter.copy_(tensors[name])
    whole = model.model.merge_and_unload() if recipe.method == "lora" else model.model
    whole.to(_stored_type(foundation)).save_pretrained(directory)
    for pattern in (*_TOKENIZER_FILES, *CARRIED):
        for path in foundation.glob(pattern):
            target = directory / path.relative_to(foundation)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)


def _load(foundation: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        foundation, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )


def _stored_type(foundation: Path) -> torch.dtype:
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(foundation, local_files_only=True, trust_remote_code=False).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.bfloat16


def _decoder(model: Any) -> Any:
    """The transformer below the head, inside adapters or not."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    return whole.get_decoder()


@torch.no_grad()
def _head_is_plain(model: Any) -> bool:
    """Whether the logits are just hidden states times the head's weight; some models scale or cap them."""
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        return False
    tokens = torch.arange(8).unsqueeze(0) % head.weight.shape[0]
    own = model(input_ids=tokens, use_cache=False).logits.float()
    hidden = getattr(_decoder(model)(input_ids=tokens, use_cache=False), "last_hidden_state", None)
    if hidden is None:  # what is called the decoder is the whole model
        return False
    direct = (hidden.to(head.weight.dtype) @ head.weight.t()).float()
    return bool(torch.allclose(own, direct, rtol=1e-2, atol=1e-2 * float(own.abs().max())))
