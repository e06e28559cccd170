"""What a step yields becomes an answer, and ends where it should, in the middle of a draft too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from scenario_model.serve.engine import Delta, GenerationRequest
from scenario_model.serve.engine.active_request import ActiveRequest
from scenario_model.serve.engine.prompt_lookup import PromptLookup
from scenario_model.serve.engine.sampling import Sampler
from scenario_model.serve.engine.scheduler import Chunk, Sequence
from scenario_model.serve.engine.text import TextStream

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from scenario_model.serve.engine.generation import QueuedGeneration

_END = 2


@pytest.fixture(scope="module")
def tokenizer(lively_checkpoint: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(lively_checkpoint / "tokenizer.json"))


def _job(tokenizer: Tokenizer, **settings: object) -> ActiveRequest:
    """A request that has its first token, and is about to get more."""
    request = GenerationRequest(prompt=(7, 8, 9), **({"max_tokens": 50} | settings))  # type: ignore[arg-type]
    sequence = Sequence(3, request.max_tokens, [7, 8, 9], cached=3, lookup=PromptLookup())
    nobody = cast("QueuedGeneration", SimpleNamespace())
    stream = TextStream(tokenizer, request.stop)
    job = ActiveRequest(request, sequence, Sampler(0, 1, None), stream, nobody)
    job.take(Chunk(sequence, 0, 3, samples=True), tokenizer.encode("The").ids, frozenset())
    return job


def _take(job: ActiveRequest, tokens: list[int], wrong: int = 1) -> object:
    draft = (*tokens[:-1], *[4] * wrong)
    chunk = Chunk(job.sequence, job.sequence.cached, 1 + len(draft), samples=True, draft=draft)
    job.sequence.cached += 1  # as the scheduler notes it
    return job.take(chunk, tokens, frozenset({_END}))


def test_all_that_was_accepted_is_one_delta_and_all_but_the_newest_is_cached(tokenizer: Tokenizer) -> None:
    job = _job(tokenizer)
    tokens = tokenizer.encode(" cat sat on the mat").ids
    assert _take(job, tokens) == Delta(" cat sat on the mat", len(tokens), None)
    assert job.sequence.cached == len(job.sequence.tokens) - 1
    assert job.steps == 2


def test_a_stop_string_within_a_draft_ends_the_answer_before_it(tokenizer: Tokenizer) -> None:
    job = _job(tokenizer, stop=(" on the",))
    tokens = tokenizer.encode(" cat sat on the mat today").ids
    assert _take(job, tokens) == Delta(" cat sat", 4, "stop")
    assert job.sequence.generated == 5


def test_an_end_token_within_a_draft_ends_the_answer_unless_it_is_to_be_ignored(
    tokenizer: Tokenizer,
) -> None:
    cat, sat = tokenizer.encode(" cat sat").ids
    assert _take(_job(tokenizer), [cat, _END, sat]) == Delta(" cat", 2, "stop")
    assert _take(_job(tokenizer, ignore_eos=True), [cat, _END, sat]) == Delta(" cat sat", 3, None)


def test_the_length_that_was_asked_for_is_not_exceeded_by_a_draft(tokenizer: Tokenizer) -> None:
    job = _job(tokenizer, max_tokens=3)
    assert _take(job, tokenizer.encode(" cat sat on the mat").ids) == Delta(" cat sat", 2, "length")


def test_what_may_begin_a_stop_string_is_held_back_from_a_draft_too(tokenizer: Tokenizer) -> None:
    job = _job(tokenizer, stop=(" mat was",))
    assert _take(job, tokenizer.encode(" cat sat on the mat").ids) == Delta(" cat sat on the", 5, None)
    assert _take(job, tokenizer.encode(" is").ids) == Delta(" mat is", 1, None)
