"""Self-check at every start: the engine's outputs must match the plain model's."""

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
    """Return the plain network's outputs [3, vocabulary] after a short prompt and two more tokens."""
    ids = torch.tensor([_prompt(network.config.get_text_config().vocab_size)], device=network.device)
    network.set_attn_implementation("sdpa")
    logits: torch.Tensor = network(input_ids=ids, use_cache=False).logits[0, -3:]
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
    """Compute the same in two chunks, a generated token, and that token with a draft; compare. All in `slot`.

    Raises InputError if an output is not finite, or differs from `plain` by more than `tolerance`, in nats of
    Kullback-Leibler divergence.
    """
    tokens = _prompt(plain.shape[-1])
    end = _TOKENS - 2
    sequence = Sequence(end, 2, tokens[:end], slot=slot)
    try:
        step([Chunk(sequence, 0, 9, samples=False)])
        prompt = step([Chunk(sequence, 9, end - 9, samples=True)])
        sequence.tokens.append(tokens[end])
        generated = step([Chunk(sequence, end, 1, samples=True)])
        drafted = step([Chunk(sequence, end, 2, samples=True, draft=(tokens[end + 1],))])
    except TypeError as error:
        raise InputError(f"this model architecture is not supported: {error}", where=where) from error
    got = torch.cat([prompt, generated, drafted]).double().log_softmax(-1)
    expected = plain[[0, 1, 1, 2]].double().log_softmax(-1)
    if not bool(torch.isfinite(expected).all() and torch.isfinite(got).all()):
        raise InputError("the model's output is not finite", where=where, remedy="its weights are damaged")
    divergence = float((expected.exp() * (expected - got)).sum(-1).max())
    if divergence > tolerance:
        raise InputError(
            f"this model architecture is not supported: answers are {divergence:.3g} nats from the plain model's",
            where=where,
        )
