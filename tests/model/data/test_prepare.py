"""Data: what is read, what is refused and how, what is held out, what is dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.config import load
from scenario_model.data.documents import Document
from scenario_model.data.packing import IGNORED, pack
from scenario_model.data.prepare import Prepared, prepare
from scenario_model.data.settings import Chat, PlainText, PythonReference
from scenario_model.errors import InputError
from scenario_model.train.plan import load_tokenizer

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
    with pytest.raises(InputError, match="none: no such folder"):
        prepare(PlainText(path=tmp_path / "none"), no_tokenizer)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "has no list of messages"),
        ({"messages": []}, "has no list of messages"),
        ({"messages": [QUESTION]}, "has no assistant message to learn from"),
        (
            {"messages": [{"role": "robot", "content": "x"}, ANSWER]},
            "message 1 has an invalid role; use one of system, user, assistant",
        ),
        ({"messages": [QUESTION, {"role": "assistant"}]}, "message 2 has no content"),
        ({"messages": [QUESTION, {"role": "assistant", "content": " "}]}, "message 2 has no content"),
        ({"messages": [{**QUESTION, "name": "x"}, ANSWER]}, "message 1 has the unknown key 'name'"),
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


def test_packing_wastes_nothing_but_the_end(tokenizer: Any) -> None:
    documents = [Document(str(i), f"Document {i} has some words. " * (i + 1)) for i in range(6)]
    packed = pack(documents, tokenizer, 32)
    sizes = [len(tokenizer(d.text).input_ids) + 1 for d in documents]
    total = sum(sizes)
    assert packed.tokens.shape == (-(-total // 32), 32)
    stream = packed.tokens.flatten()[:total].tolist()
    assert stream == [t for d in documents for t in [*tokenizer(d.text).input_ids, tokenizer.eos_token_id]]
    # Each document learns all of its tokens but the first; cut ones lose none, for the target is looked up
    # before.
    assert packed.target_tokens == total - len(documents)


def test_positions_start_again_with_each_document_and_each_sequence(tokenizer: Any) -> None:
    documents = [Document("a", "one two three"), Document("b", "four five six seven")]
    packed = pack(documents, tokenizer, 16)
    first = len(tokenizer("one two three").input_ids) + 1
    positions = packed.positions[0].tolist()
    assert positions[:first] == list(range(first))
    assert positions[first] == 0
    assert all(row[0] == 0 for row in packed.positions.tolist())


@pytest.mark.parametrize("share", [0, -0.1, 0.6])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"'held_out' is .*; it must be (above 0|at most 0\.5)"):
        load(PythonReference, {"kind": "python-reference", "held_out": share}, "x")
