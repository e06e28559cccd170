"""Tokens are drawn from the distribution that was asked for, row by row."""

from __future__ import annotations

import pytest
import torch

from scenario_model.serve.engine.sampling import Sampler, sample


def _logits(rows: int, vocabulary: int = 50) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(5))


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = _logits(4)
    assert sample(logits, [Sampler(0, 1, None)] * 4) == logits.argmax(-1).tolist()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8), (1.5, 0.3)])
def test_frequencies_are_those_of_the_cut_softmax(temperature: float, top_p: float) -> None:
    logits = _logits(1, 12)
    probabilities = torch.softmax(logits[0] / temperature, -1)
    ordered, at = probabilities.sort(descending=True)
    kept = int((ordered.cumsum(0) < top_p).sum()) + 1
    expected = torch.zeros(12)
    expected[at[:kept]] = ordered[:kept] / ordered[:kept].sum()
    sampler, draws = Sampler(temperature, top_p, 1), 1500
    counts = torch.bincount(torch.tensor([sample(logits, [sampler])[0] for _ in range(draws)]), minlength=12)
    assert not counts[expected == 0].any()
    kept_counts, kept_expected = counts[expected > 0], expected[expected > 0] * draws
    chi_squared = float(((kept_counts - kept_expected) ** 2 / kept_expected).sum())
    # 11 degrees of freedom at most: 99.99 % of fair samples stay below 37; the seed is fixed.
    assert chi_squared < 37


@pytest.mark.parametrize("temperature", [1e-5, 1e-40, 1e-310])
def test_the_smallest_temperatures_are_as_good_as_greedy(temperature: float) -> None:
    logits = _logits(3) * 1e4
    assert sample(logits, [Sampler(temperature, 0.9, 1)] * 3) == logits.argmax(-1).tolist()


def test_a_nucleus_wider_than_the_first_look_is_still_exact() -> None:
    logits = torch.zeros(1, 5000)
    drawn = {sample(logits, [sampler])[0] for sampler in [Sampler(1, 0.9, 3)] for _ in range(60)}
    assert len(drawn) > 50


def test_a_row_draws_the_same_alone_and_among_others() -> None:
    logits = _logits(6)
    alone = [sample(logits[row : row + 1], [Sampler(1.0, 0.9, row)])[0] for row in range(6)]
    assert sample(logits, [Sampler(1.0, 0.9, row) for row in range(6)]) == alone


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_row_that_is_not_finite_is_an_error(bad: float) -> None:
    logits = _logits(2)
    if bad == float("-inf"):
        logits[1] = bad
    else:
        logits[1, 7] = bad
    with pytest.raises(FloatingPointError, match="not finite"):
        sample(logits, [Sampler(0, 1, None)] * 2)
