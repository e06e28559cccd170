"""Drafts are what stood after the same words before, and no longer than they are likely to be right."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_model.serve.engine.prompt_lookup import PromptLookup

_MOST = 10


def _followed(tokens: list[int]) -> list[int]:
    """What came after the last earlier place of the longest run of 4, 3 or 2 tokens that is at the end."""
    for length in (4, 3, 2):
        for end in range(len(tokens) - 1, length - 1, -1):
            if tokens[end - length : end] == tokens[-length:]:
                longer = tokens.copy()
                for place in range(end, end + _MOST):
                    longer.append(longer[place])
                return longer[len(tokens) :]
    return []


def _repeat(lookup: PromptLookup, occasions: int, *, right: bool, generating: int = 1) -> list[int]:
    """Draft that often, always right or always wrong; return the drafts' lengths."""
    tokens, lengths = [1, 2, 3, 1, 2], []
    for _ in range(occasions):
        drafted = len(lookup.draft(tokens, _MOST, generating))
        lengths.append(drafted)
        if drafted:
            lookup.judged(drafted, drafted if right else 0)
    return lengths


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 3), max_size=60), st.lists(st.integers(1, 7)))
def test_a_draft_is_what_the_definition_says_however_the_tokens_arrive(
    tokens: list[int], arrivals: list[int]
) -> None:
    lookup, known = PromptLookup(), 0
    for arrival in [*arrivals, len(tokens)]:
        known = min(known + arrival, len(tokens))
        lookup.read(tokens, known)
        draft = lookup.draft(tokens[:known], _MOST, 1)
        followed = _followed(tokens[:known])
        assert list(draft) == followed[: len(draft)]
        assert bool(draft) == bool(followed)


def test_a_draft_is_never_longer_than_what_may_still_be_said() -> None:
    lookup = PromptLookup()
    _repeat(lookup, 20, right=True)
    assert [len(lookup.draft([5] * 9, at_most, 1)) for at_most in range(4)] == [0, 1, 2, 3]


def test_drafts_grow_while_they_are_right() -> None:
    lengths = _repeat(PromptLookup(), 20, right=True)
    assert 0 < lengths[0] < _MOST
    assert lengths == sorted(lengths)
    assert lengths[-1] == _MOST


def test_drafts_that_are_wrong_are_given_up_but_tried_again_now_and_then() -> None:
    lookup = PromptLookup()
    lengths = _repeat(lookup, 200, right=False)
    assert sum(lengths[:20]) < 20
    assert set(lengths[20:]) == {0, 1}
    assert 10 < sum(lengths[20:]) < 30
    assert _repeat(lookup, 100, right=True)[-1] == _MOST


def test_the_more_answers_share_a_step_the_surer_a_draft_must_be() -> None:
    longest = [_repeat(PromptLookup(), 1, right=True, generating=number)[0] for number in (1, 2, 4, 5)]
    assert longest == sorted(longest, reverse=True)
    assert longest[0] > 0
    assert longest[-1] == 0
    assert _repeat(PromptLookup(), 200, right=True, generating=4)[-1] == _MOST


def test_a_long_context_makes_rows_dearer_and_drafts_shorter() -> None:
    short, long = [1, 2, 1, 2], [*range(10, 8000), 1, 2, 1, 2]
    assert len(PromptLookup().draft(long, _MOST, 1)) < len(PromptLookup().draft(short, _MOST, 1))
