"""Self-check before training: packed documents must be computed as the model itself computes each of them.

A layer that drops the documents' lengths, attention that has more to it than queries, keys and values, or a state
that runs on from one document to the next: each would train another model, without an error.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from scenario_model.errors import InputError

_LENGTHS = (11, 5, 8)
# Of the difference that mixing the documents makes; and of the output itself, for rounding.
_OF_MIXING = 0.1
_OF_OUTPUT = {torch.float32: 1e-4, torch.bfloat16: 0.03, torch.float16: 0.01}


@torch.no_grad()
def own_outputs(model: Any) -> tuple[Tensor, Tensor]:
    """What `model`, as it is, makes of a few short documents: one by one, and as if they were one text.

    Each is logits, float32 [tokens, vocabulary].
    """
    tokens, _ = _documents(model)
    borders = [0, *accumulate(_LENGTHS)]
    apart = [model(input_ids=tokens[:, a:b], use_cache=False).logits[0] for a, b in pairwise(borders)]
    mixed = model(input_ids=tokens, use_cache=False).logits[0]
    return torch.cat(apart).float(), mixed.float()


@torch.no_grad()
def check_packed(model: Any, apart: Tensor, mixed: Tensor, where: str) -> None:
    """Compare the packed computation with `own_outputs`. Raises InputError, naming the architecture."""
    tokens, positions = _documents(model)
    name = type(model).__name__
    remedy = "use a model of another architecture (docs/models.md)"
    try:
        output = model(input_ids=tokens, position_ids=positions, lengths=_LENGTHS, use_cache=False)
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"{name} cannot be trained on packed documents: {reason}"
        raise InputError(what, where=where, remedy=remedy) from error
    packed = output.logits[0].float()
    if not bool(torch.isfinite(apart).all() and torch.isfinite(packed).all()):
        raise InputError("the model's output is not finite", where=where, remedy="its weights are damaged")
    difference, mixing, size = (packed - apart).norm(), (mixed - apart).norm(), apart.norm()
    floor = _OF_OUTPUT[model.dtype] * size
    if difference > max(_OF_MIXING * mixing, floor):
        what = (
            f"{name} cannot be trained on packed documents: its outputs are not those of the documents one by one "
            f"(they differ by {float(difference / size):.1%})"
        )
        raise InputError(what, where=where, remedy=remedy)


def _documents(model: Any) -> tuple[Tensor, Tensor]:
    """Tokens and positions, int64 [1, tokens]."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    tokens = torch.tensor([[(7 + 101 * at) % vocabulary for at in range(sum(_LENGTHS))]], device=model.device)
    positions = torch.cat([torch.arange(length) for length in _LENGTHS]).unsqueeze(0)
    return tokens, positions.to(model.device)
