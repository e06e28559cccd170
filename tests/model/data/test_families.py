"""Conversations that share turns are on one side of the split, and what both sides have in common is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.data.conversations import Conversation, conversation
from scenario_model.data.documents import Document
from scenario_model.data.duplicates import near_duplicates
from scenario_model.data.families import families
from scenario_model.data.prepare import insist_on_a_verdict, prepare
from scenario_model.data.settings import Chat
from scenario_model.errors import InputError
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def chat(*contents: str, system: str = "") -> Conversation:
    return conversation({"messages": messages(*contents, system=system)}, "x")


def messages(*contents: str, system: str = "") -> list[dict[str, Any]]:
    turns = [{"role": ("user", "assistant")[n % 2], "content": each} for n, each in enumerate(contents)]
    return [*([{"role": "system", "content": system}] if system else []), *turns]


LONG = "This is what the manual says of it, in a sentence that is long enough to be known again."


@pytest.mark.parametrize(
    ("others", "kin"),
    [
        ([chat("a?", "A.", "b?", "B.")], True),  # the log's next line
        ([chat("a?", "A.", "c?", "C.")], True),  # another turn from the same point
        ([chat("a?", "A.", system="Today is Monday.")], True),
        ([chat("z?", "Z.", "how?", LONG), chat("a?", "A.", "how?", LONG)], True),  # a window that moved on
        ([chat("a?", "Otherwise.")], False),
        ([chat("z?", "A.")], False),
    ],
)
def test_who_shares_a_history_or_a_long_exchange_is_kin(others: list[Conversation], kin: bool) -> None:
    first, *rest = families([chat("a?", "A."), *others])
    assert all((first == each) is kin for each in rest)


def test_a_family_keeps_its_name_when_turns_are_added() -> None:
    first, second = chat("a?", "A."), chat("a?", "A.", "b?", "B.")
    assert families([first]) == families([second]) == families([second, first])[:1]


def test_a_log_whose_lines_carry_their_history_leaves_no_answer_on_both_sides(
    packaged_tokenizer: Path, tmp_path: Path
) -> None:
    lines = []
    for number in range(40):
        turns: list[str] = []
        for turn in range(4):
            turns += [f"Question {turn} of {number}?", f"Answer {turn} of {number}."]
            lines.append({"messages": messages(*turns)})
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    tokenizer = load_tokenizer(packaged_tokenizer)
    made = prepare(Chat(path=tmp_path / "log.jsonl", held_out=0.2), lambda: tokenizer)
    sides = [
        {document.text[a:b] for document in side for a, b in document.spans or ()}
        for side in (made.training, made.held_out)
    ]
    assert not sides[0] & sides[1]
    assert len(made.held_out) + len(made.training) == 160
    insist_on_a_verdict(made, Chat(path=tmp_path))


def test_too_few_families_for_a_verdict_are_said_before_training(
    packaged_tokenizer: Path, tmp_path: Path
) -> None:
    lines = [{"messages": messages(f"Question {n}?", f"Answer {n}.")} for n in range(8)]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, lines)))
    tokenizer = load_tokenizer(packaged_tokenizer)
    settings = Chat(path=tmp_path / "chat.jsonl")
    with pytest.raises(InputError) as error:
        insist_on_a_verdict(prepare(settings, lambda: tokenizer), settings)
    assert (
        "documents are held out, and the gate needs 5 for a verdict; add documents, or raise data.held_out"
        in (str(error.value))
    )


def test_texts_that_have_half_of_their_words_in_common_are_counted() -> None:
    words = [f"word{n}" for n in range(60)]
    held_out = [Document("copy", " ".join(words)), Document("own", " ".join(reversed(words)))]
    training = [Document("t", " ".join([*words[:45], "and", "an", "end"]))]
    assert near_duplicates(held_out, training) == 1


def test_only_what_is_learnt_counts_as_common() -> None:
    prompt, answer = "the same long instructions before every question " * 3, "an answer of its own " * 3
    documents = [
        Document(str(n), f"{prompt}{answer}{n}", ((len(prompt), len(prompt) + len(answer) + 1),))
        for n in (1, 2)
    ]
    other = [Document("3", prompt + "what nobody else said " * 3, ((len(prompt), len(prompt) + 66),))]
    assert near_duplicates(documents[:1], documents[1:]) == 1
    assert near_duplicates(documents[:1], other) == 0
