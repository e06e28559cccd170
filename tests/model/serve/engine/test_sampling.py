"""Tokens are drawn from the distribution that was asked for, row by row."""

from __future__ import annotations

import pytest
import torch

from scenario_model.serve.engine.sampling import Sampler, sample


def _logits(rows: int, vocabulary: int = 50) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(5))


def _sample(logits: torch.Tensor, samplers: list[Sampler]) -> list[int]:
    """A token for every row, without drafts."""
    return [token for (token,) in sample(logits, samplers, [()] * len(samplers))]


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = _logits(4)
    assert _sample(logits, [Sampler(0, 1, None)] * 4) == logits.argmax(-1).tolist()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8), (1.5, 0.3)])
def test_frequencies_are_those_of_the_cut_softmax(temperature: float, top_p: float) -> None:
    logits = _logits(1, 12)
    probabilities = torch.softmax(logits[0] / temperature, -1)
    ordered, at = probabilities.sort(descending=True)
    kept = int((ordered.cumsum(0) < top_p).sum()) + 1
    expected = torch.zeros(12)
    expected[at[:kept]] = ordered[:kept] / ordered[:kept].sum()
    sampler, draws = Sampler(temperature, top_p, 1), 1500
    counts = torch.bincount(torch.tensor([_sample(logits, [sampler])[0] for _ in range(draws)]), minlength=12)
    assert not counts[expected == 0].any()
    kept_counts, kept_expected = counts[expected > 0], expected[expected > 0] * draws
    chi_squared = float(((kept_counts - kept_expected) ** 2 / kept_expected).sum())
    # 11 degrees of freedom at most: 99.99 % of fair samples stay below 37; the seed is fixed.
    assert chi_squared < 37


@pytest.mark.parametrize("temperature", [1e-5, 1e-40, 1e-310])
def test_the_smallest_temperatures_are_as_good_as_greedy(temperature: float) -> None:
    logits = _logits(3) * 1e4
    assert _sample(logits, [Sampler(temperature, 0.9, 1)] * 3) == logits.argmax(-1).tolist()


def test_a_nucleus_wider_than_the_first_look_is_still_exact() -> None:
    logits = torch.zeros(1, 5000)
    drawn = {_sample(logits, [sampler])[0] for sampler in [Sampler(1, 0.9, 3)] for _ in range(60)}
    assert len(drawn) > 50


def test_a_row_draws_the_same_alone_and_among_others() -> None:
    logits = _logits(6)
    alone = [_sample(logits[row : row + 1], [Sampler(1.0, 0.9, row)])[0] for row in range(6)]
    assert _sample(logits, [Sampler(1.0, 0.9, row) for row in range(6)]) == alone


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_row_that_is_not_finite_is_an_error(bad: float) -> None:
    logits = _logits(2)
    if bad == float("-inf"):
        logits[1] = bad
    else:
        logits[1, 7] = bad
    with pytest.raises(FloatingPointError, match="not finite"):
        _sample(logits, [Sampler(0, 1, None)] * 2)


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_a_draft_is_followed_as_far_as_it_says_what_would_have_been_picked(temperature: float) -> None:
    logits = _logits(5)
    alone = Sampler(temperature, 0.9, 3)
    one, two, three, four, five = (_sample(row, [alone])[0] for row in logits[:, None])
    for draft, expected in {
        (one, two, three, four): [one, two, three, four, five],
        (one, two, 49 - three, four): [one, two, three],
        (49 - one, two, three, four): [one],
    }.items():
        assert sample(logits, [Sampler(temperature, 0.9, 3)], [draft]) == [expected]


def test_what_was_picked_after_a_wrong_guess_costs_no_number_of_the_random_source() -> None:
    logits = _logits(4)
    plain, drafting = Sampler(1.0, 0.9, 8), Sampler(1.0, 0.9, 8)
    first, second = (_sample(row, [plain])[0] for row in logits[:2, None])
    assert sample(logits[:3], [drafting], [(first, 49 - second)]) == [[first, second]]
    assert plain.draw() == drafting.draw()


def test_each_draft_is_judged_by_the_rows_of_its_own_answer() -> None:
    logits = _logits(6)
    best = logits.argmax(-1).tolist()
    drafts = [(best[0], 49 - best[1]), (), (best[4],)]
    greedy = [Sampler(0, 1, None)] * 3
    assert sample(logits, greedy, drafts) == [best[:2], [best[3]], best[4:]]
