"""Does the engine's way of driving the model give what the model itself gives? Asked at every start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from scenario_model.errors import InputError
from scenario_model.serve.engine.attention import NAME
from scenario_model.serve.engine.scheduler import Chunk, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKENS = 24


def _prompt(vocabulary: int) -> list[int]:
    return [(7 + 101 * index) % vocabulary for index in range(_TOKENS)]


@torch.inference_mode()
def plain_logits(network: Any) -> torch.Tensor:
    """Return what the network itself says [2, vocabulary] after a short prompt, and after one token more."""
    ids = torch.tensor([_prompt(network.config.get_text_config().vocab_size)], device=network.device)
    network.set_attn_implementation("sdpa")
    logits: torch.Tensor = network(input_ids=ids, use_cache=False).logits[0, -2:]
    network.set_attn_implementation(NAME)
    return logits


def check_step(
    plain: torch.Tensor,
    step: Callable[[list[Chunk]], torch.Tensor],
    slot: int,
    where: str,
    *,
    tolerance: float,
) -> None:
    """Compute the same in two chunks and a generated token, in `slot`, and compare.

    Raises InputError if an output is not finite, or differs from `plain` by more than `tolerance`, in nats of
    Kullback-Leibler divergence.
    """
    tokens = _prompt(plain.shape[-1])
    sequence = Sequence(_TOKENS - 1, 1, tokens[:-1], slot=slot)
    try:
        step([Chunk(sequence, 0, 9, samples=False)])
        prompt = step([Chunk(sequence, 9, _TOKENS - 10, samples=True)])
        sequence.tokens.append(tokens[-1])
        generated = step([Chunk(sequence, _TOKENS - 1, 1, samples=True)])
    except TypeError as error:
        raise InputError(f"this kind of model cannot be served here: {error}", where=where) from error
    got, expected = (rows.double().log_softmax(-1) for rows in (torch.cat([prompt, generated]), plain))
    if not bool(torch.isfinite(expected).all() and torch.isfinite(got).all()):
        raise InputError("the model's output is not finite", where=where, remedy="its weights are damaged")
    divergence = float((expected.exp() * (expected - got)).sum(-1).max())
    if divergence > tolerance:
        raise InputError(
            f"this kind of model cannot be served here: answers are {divergence:.3g} nats from its own",
            where=where,
        )
