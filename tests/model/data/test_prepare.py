"""Data: what is read, what is refused and how, what is held out, what is dropped."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_model.config import load
from scenario_model.data.documents import Document
from scenario_model.data.packing import IGNORED, pack
from scenario_model.data.prepare import Prepared, prepare
from scenario_model.data.settings import Chat, PlainText, PythonReference
from scenario_model.errors import InputError
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUESTION = {"role": "user", "content": "What is it?"}
ANSWER = {"role": "assistant", "content": "It is a thing."}


@pytest.fixture(scope="session")
def tokenizer(packaged_tokenizer: Path) -> Any:
    return load_tokenizer(packaged_tokenizer)


@pytest.fixture
def chat(tmp_path: Path, tokenizer: Any) -> Callable[..., Prepared]:
    """Prepares conversations, given as JSON values or as lines."""

    def make(*lines: Any) -> Prepared:
        path = tmp_path / "chat.jsonl"
        path.write_text(
            "\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines), encoding="utf-8"
        )
        return prepare(Chat(path=path), lambda: tokenizer)

    return make


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Prepared]:
    """Prepares text files, given as name = content."""

    def make(**contents: str) -> Prepared:
        for name, content in contents.items():
            (tmp_path / f"{name}.txt").write_text(content)
        return prepare(PlainText(path=tmp_path), no_tokenizer)

    return make


def no_tokenizer() -> Any:
    raise AssertionError("text needs no tokenizer")


def conversation(answer: str) -> dict[str, Any]:
    return {"messages": [QUESTION, {"role": "assistant", "content": answer}]}


def test_python_reference_has_topics_on_both_sides_that_share_no_paragraph() -> None:
    prepared = prepare(PythonReference(), no_tokenizer)
    assert len(prepared.training) > 40
    assert len(prepared.held_out) >= 5

    def paragraphs(side: tuple[Document, ...]) -> list[str]:
        found = [" ".join(p.split()) for document in side for p in document.text.split("\n\n")]
        return [paragraph for paragraph in found if len(paragraph) >= 40]

    assert not set(paragraphs(prepared.training)) & set(paragraphs(prepared.held_out))
    everything = paragraphs(prepared.training) + paragraphs(prepared.held_out)
    assert len(everything) == len(set(everything))
    assert prepared.repeated_characters > 50_000


def test_the_same_data_has_the_same_digest_and_another_share_another() -> None:
    digests = [prepare(PythonReference(held_out=share), no_tokenizer).digest for share in (0.1, 0.1, 0.3)]
    assert digests[0] == digests[1] != digests[2]


def test_a_document_stays_on_its_side_when_others_come(texts: Callable[..., Prepared]) -> None:
    first = texts(
        **{f"d{i}": f"Text number {i} is about {i * i} things and it is long enough." for i in range(30)}
    )
    second = texts(
        **{f"e{i}": f"Another text {i} tells of {i * i} things and is long enough." for i in range(30)}
    )
    held_out = {document.id for document in first.held_out}
    assert held_out == {document.id for document in second.held_out if document.id.startswith("d")}
    assert held_out


def test_documents_that_are_equal_count_once(chat: Callable[..., Prepared]) -> None:
    prepared = chat(conversation("One."), conversation("Two."), conversation("One."))
    assert prepared.repeated_documents == 1
    assert len(prepared.training) + len(prepared.held_out) == 2


def test_two_documents_are_enough_and_each_side_gets_one(texts: Callable[..., Prepared]) -> None:
    prepared = texts(
        a="A long enough paragraph about rivers and the sea.", b="Another paragraph, about towns and light."
    )
    assert (len(prepared.training), len(prepared.held_out)) == (1, 1)


@pytest.mark.parametrize("contents", [{}, {"a": ""}, {"a": " \n"}])
def test_empty_text_is_refused(texts: Callable[..., Prepared], contents: dict[str, str]) -> None:
    with pytest.raises(InputError, match="contains no text"):
        texts(**contents)


def test_one_document_is_too_little(texts: Callable[..., Prepared]) -> None:
    with pytest.raises(InputError, match="too few distinct documents"):
        texts(a="Just one document.", b="Just one document.")


def test_a_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good\ngood\nbad \xff\n")
    with pytest.raises(InputError, match=r"a\.txt:3: not UTF-8 .*; save the file as UTF-8"):
        prepare(PlainText(path=tmp_path), no_tokenizer)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such file or folder"):
        prepare(PlainText(path=tmp_path / "none"), no_tokenizer)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "is not a JSON object"),
        ({"messages": []}, "has no list of messages"),
        ({"messages": [QUESTION]}, "has no assistant message to learn from"),
        (
            {"messages": [{"role": "robot", "content": "x"}, ANSWER]},
            "message 1 has an invalid role; use one of system, developer, user, assistant, tool",
        ),
        ({"messages": [QUESTION, {"role": "assistant"}]}, "message 2 has no content"),
        ({"messages": [QUESTION, {"role": "assistant", "content": " "}]}, "message 2 has no content"),
        ({"messages": [{**QUESTION, "mood": "x"}, ANSWER]}, "message 1 has the unknown key 'mood'"),
        (
            {"messages": [{**QUESTION, "name": "x"}, ANSWER]},
            "message 1 has the key 'name', which the model's",
        ),
    ],
)
def test_a_bad_conversation_is_named_with_its_line_and_a_remedy(
    chat: Callable[..., Prepared], line: Any, message: str
) -> None:
    with pytest.raises(InputError) as error:
        chat(conversation("One."), "", line)
    assert f"chat.jsonl:3: {message}" in str(error.value)
    assert error.value.remedy


def test_a_file_without_conversations_is_refused(chat: Callable[..., Prepared]) -> None:
    with pytest.raises(InputError, match="contains no conversation"):
        chat("", "")


def test_only_the_assistants_words_and_its_end_of_turn_are_learnt(
    chat: Callable[..., Prepared], tokenizer: Any
) -> None:
    turns = [QUESTION, ANSWER, {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]
    prepared = chat({"messages": turns}, conversation("Other."))
    document = next(d for d in (*prepared.training, *prepared.held_out) if "Sure?" in d.text)
    packed = pack([document], tokenizer, 128)
    learnt = packed.targets[packed.targets != IGNORED]
    assert tokenizer.decode(learnt) == "It is a thing.<|im_end|>\nYes.<|im_end|>\n"


def test_held_out_conversations_say_which_parts_count(chat: Callable[..., Prepared]) -> None:
    prepared = chat(conversation("One."), conversation("Two."))
    (line,) = map(json.loads, prepared.held_out_lines().splitlines())
    ((start, end),) = line["spans"]
    assert line["text"][start:end] in ("One.<|im_end|>\n", "Two.<|im_end|>\n")


def test_a_text_that_is_longer_than_a_sequence_loses_no_token(tokenizer: Any) -> None:
    document = Document("long", "Some words about rivers and towns. " * 40)
    packed = pack([document], tokenizer, 32)
    ids = [*tokenizer(document.text).input_ids, tokenizer.eos_token_id]
    # Each token but the first is learnt: at a cut the target is the first one of the other part.
    assert sorted(packed.targets[packed.targets != IGNORED].tolist()) == sorted(ids[1:])
    assert packed.notes == ("1 documents are longer than recipe.sequence_length, 32 tokens, and are cut",)


@given(sizes=st.lists(st.integers(2, 40), min_size=1, max_size=60))
def test_what_fits_into_a_sequence_is_never_cut_and_sees_nothing_else(sizes: list[int]) -> None:
    documents = [Document(str(n), "a" * (size - 1)) for n, size in enumerate(sizes)]
    packed = pack(documents, Letters(), 40)
    found = []
    for tokens, positions, targets in zip(packed.tokens, packed.positions, packed.targets, strict=True):
        starts = [*(positions == 0).nonzero().flatten().tolist(), 40]
        for begin, end in itertools.pairwise(starts):
            assert positions[begin:end].tolist() == list(range(end - begin))
            if (targets[begin:end] != IGNORED).any():
                found.append(end - begin)
                assert targets[begin : end - 1].tolist() == tokens[begin + 1 : end].tolist()
                assert targets[end - 1] == IGNORED
    assert sorted(found) == sorted(sizes)
    assert len(packed.tokens) <= 2 * sum(sizes) / 40 + 1, "at most one row is less than half full"
    assert packed.notes == ()


def test_of_a_conversation_that_does_not_fit_the_beginning_is_kept_and_the_rest_is_counted(
    chat: Callable[..., Prepared], tokenizer: Any
) -> None:
    turns = [turn for n in range(20) for turn in ({**QUESTION, "content": f"And {n}?"}, ANSWER)]
    prepared = chat({"messages": turns}, conversation("Short."))
    packed = pack((*prepared.training, *prepared.held_out), tokenizer, 64)
    assert len(packed.tokens) <= 2
    (note,) = packed.notes
    assert note.startswith(
        "1 conversations are longer than recipe.sequence_length, 64 tokens: their ends are"
    )
    assert packed.target_tokens < 60


def test_a_sequence_too_short_for_any_answer_is_refused(
    chat: Callable[..., Prepared], tokenizer: Any
) -> None:
    question = {**QUESTION, "content": "What is it? " * 40}
    prepared = chat({"messages": [question, ANSWER]}, {"messages": [question, {**ANSWER, "content": "No."}]})
    with pytest.raises(InputError, match=r"no answer fits into 32 tokens; raise recipe\.sequence_length"):
        pack(prepared.training, tokenizer, 32)


class Letters:
    """A tokenizer with a token for each character."""

    eos_token_id = 7

    def __call__(self, text: str | list[str], **_: Any) -> dict[str, Any]:
        if isinstance(text, str):
            return {"input_ids": list(range(10, 10 + len(text)))}
        return {
            "input_ids": [list(range(10, 10 + len(each))) for each in text],
            "offset_mapping": [[(at, at + 1) for at in range(len(each))] for each in text],
        }


@pytest.mark.parametrize("share", [0, -0.1, 0.6])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"'held_out' is .*; it must be (above 0|at most 0\.5)"):
        load(PythonReference, {"kind": "python-reference", "held_out": share}, "x")
