"""Causal attention over documents packed into one row, document by document.

Documents do not see each other, no mask is built, and the work is half the sum of squared document lengths
instead of the square of the row's. It plugs into transformers' attention interface, so its architectures are
used unchanged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scenario_model.errors import InputError

NAME = "scenario_packed"


def use_packed_attention(model: Any) -> None:
    """Make `model` attend through `packed_attention`; raises InputError if its architecture cannot."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    if not getattr(model, "_supports_attention_backend", False):
        what = f"the attention of {type(model).__name__} does not support packed documents"
        raise InputError(what, where="foundation", remedy="use another foundation model")
    model.set_attn_implementation(NAME)


def packed_attention(
    module: nn.Module,  # noqa: ARG001 - the interface's signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - as above
    scaling: float | None = None,
    dropout: float = 0.0,
    lengths: tuple[int, ...] | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it; returns ([batch, length, heads, width], None).

    query [batch, heads, length, width]; key and value the same with as many or fewer heads; `lengths` of the
    documents along the row. Raises InputError without them, for a window that a document exceeds, and for what
    else changes the result: caps, sinks, biases.
    """
    changes = sorted(name for name, value in others.items() if value is not None and name not in _NO_CHANGE)
    if changes:
        raise _unsupported(f"its attention has {', '.join(changes)}", "use another model (docs/models.md)")
    if lengths is None:
        remedy = "use another model (docs/models.md)"
        raise _unsupported("its layers do not hand on the lengths of packed documents", remedy)
    if sliding_window is not None and sliding_window < max(lengths):
        remedy = f"set recipe.sequence_length to at most {sliding_window}"
        raise _unsupported(f"its attention has a window of {sliding_window} tokens", remedy)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    # Splitting, not slicing: its gradient is one concatenation instead of a padded sum for each part.
    parts = zip(*(torch.split(tensor, list(lengths), 2) for tensor in (query, key, value)), strict=True)
    attended = [
        nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, dropout_p=dropout)
        for q, k, v in parts
    ]
    return torch.cat(attended, 2).transpose(1, 2).contiguous(), None


# What transformers hands to every attention function, and what does not concern this one.
_NO_CHANGE = frozenset(
    {
        "cache_position",
        "is_causal",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "position_embeddings",
        "position_ids",
        "return_dict",
        "use_cache",
    }
)


def _unsupported(what: str, remedy: str) -> InputError:
    return InputError(f"cannot be trained on packed documents: {what}", where="foundation", remedy=remedy)


def _no_mask(*_: Any, **__: Any) -> None:
    """Keep transformers from building a mask."""
