"""Samples the next tokens of every answer: greedy, or with temperature and top-p from its own generator."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

# Rows with top_p < 1 search their nucleus among this many most likely tokens first: sorting all is slow.
_LIKELIEST = 1024


@dataclass(slots=True)
class Sampler:
    """A request's sampler. temperature 0 is greedy; `seed` None takes one from the system."""

    temperature: float
    top_p: float
    seed: int | None
    _generator: torch.Generator | None = field(default=None, init=False)

    def draw(self) -> float:
        """Return the next number in [0, 1) of this request's own random source (always on the CPU)."""
        if self._generator is None:
            self._generator = torch.Generator()
            if self.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(self.seed)
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))


def sample(logits: torch.Tensor, samplers: list[Sampler], drafts: list[tuple[int, ...]]) -> list[list[int]]:
    """Pick the next tokens of every answer from `logits` [rows, vocabulary]; answers are independent.

    An answer has one row more than its draft has tokens. Tokens are picked in order, each as without the
    draft, until one differs from the draft: later rows have seen a wrong token. Raises FloatingPointError if
    a row is not finite: a broken model must not answer.
    """
    best, greedy = logits.max(dim=-1)
    # argmax of a row with NaN is the NaN's position: checking the maxima finds every bad row.
    if not bool(torch.isfinite(best).all()):
        raise FloatingPointError("the model's output is not finite")
    picked: list[int] = greedy.tolist()
    answers, first = [], 0
    for sampler, draft in zip(samplers, drafts, strict=True):
        end = first
        for row, guess in enumerate((*draft, None), first):
            if sampler.temperature > 0:
                # Relative to the maximum, so that a small temperature cannot overflow.
                picked[row] = _draw((logits[row] - best[row]).double() / sampler.temperature, sampler)
            end = row + 1
            if picked[row] != guess:
                break
        answers.append(picked[first:end])
        first += 1 + len(draft)
    return answers


def _draw(scaled: torch.Tensor, sampler: Sampler) -> int:
    """Draw from softmax(scaled) [vocabulary], cut to the smallest set of most likely tokens with probability top_p."""
    probabilities = torch.softmax(scaled, dim=-1)
    if sampler.top_p >= 1:
        return _inverse(probabilities, sampler.draw())
    values, tokens = probabilities.topk(min(_LIKELIEST, len(probabilities)))
    if float(values.sum()) < sampler.top_p:
        values, tokens = probabilities.sort(descending=True)
    before = values.cumsum(0) - values
    # In the vocabulary's order: between about equally likely tokens, rounding decides the order.
    nucleus = tokens[before < sampler.top_p].sort().values
    return int(nucleus[_inverse(probabilities[nucleus], sampler.draw())])


def _inverse(weights: torch.Tensor, uniform: float) -> int:
    """Return the index at which the running sum of `weights` first exceeds `uniform` times their sum."""
    running = weights.cumsum(0)
    at = int(torch.searchsorted(running, running[-1:] * uniform, right=True))
    # Rounding may put the threshold past the end: then use the last index with weight.
    return at if at < len(weights) else int(weights.nonzero()[-1])
