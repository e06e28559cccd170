"""Does the engine's way of driving the model give what the model itself gives? Asked at every start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from scenario_model.errors import InputError
from scenario_model.serve.engine.attention import NAME
from scenario_model.serve.engine.scheduler import Chunk, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

# Nats. Rounding in bf16 gives about 0.001; a model with another kind of state gives whole units.
_MOST = 0.05
_TOKENS = 24


@torch.inference_mode()
def check_step(network: Any, step: Callable[[list[Chunk]], torch.Tensor], where: str) -> None:
    """Compare a prompt in two chunks and a generated token with the network's own plain forward pass.

    Raises InputError if the outputs are not finite, or differ (Kullback-Leibler divergence).
    """
    vocabulary = int(network.config.get_text_config().vocab_size)
    tokens = [(7 + 101 * index) % vocabulary for index in range(_TOKENS)]
    network.set_attn_implementation("sdpa")
    expected = network(input_ids=torch.tensor([tokens], device=network.device), use_cache=False).logits[
        0, -2:
    ]
    network.set_attn_implementation(NAME)
    sequence = Sequence(_TOKENS - 1, 1, tokens[:-1], slot=0)
    try:
        step([Chunk(sequence, 0, 9, samples=False)])
        prompt = step([Chunk(sequence, 9, _TOKENS - 10, samples=True)])
        sequence.tokens.append(tokens[-1])
        generated = step([Chunk(sequence, _TOKENS - 1, 1, samples=True)])
    except (NotImplementedError, TypeError) as error:
        raise InputError(f"this kind of model cannot be served here: {error}", where=where) from error
    got = torch.cat([prompt, generated]).double().log_softmax(-1)
    expected = expected.double().log_softmax(-1)
    if not bool(torch.isfinite(expected).all() and torch.isfinite(got).all()):
        raise InputError("the model's output is not finite", where=where, remedy="its weights are damaged")
    divergence = float((expected.exp() * (expected - got)).sum(-1).max())
    if divergence > _MOST:
        raise InputError(
            f"this kind of model cannot be served here: answers are {divergence:.3g} nats from its own",
            where=where,
        )
