"""The forms in which people have conversations and texts: what is read, and what is refused by name."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.data.chat import read_conversations, render_all
from scenario_model.data.conversations import conversation
from scenario_model.data.prepare import prepare
from scenario_model.data.settings import Chat, PlainText
from scenario_model.data.text import read_text
from scenario_model.errors import InputError
from scenario_model.tokens.loading import load_tokenizer
from tests.model.tokens.templates import TEMPLATES

if TYPE_CHECKING:
    from pathlib import Path

USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}
BOTH = {"messages": [USER, ASSISTANT]}
TOOL = {"type": "function", "function": {"name": "clock", "description": "the time", "parameters": {}}}
CALL = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}


@pytest.fixture(scope="module")
def tokenizer(packaged_tokenizer: Path) -> Any:
    return load_tokenizer(packaged_tokenizer)


def with_tools(tokenizer: Any) -> Any:
    made = copy.copy(tokenizer)
    made.chat_template = TEMPLATES["tools as JSON, white space under control (Hermes)"]
    return made


@pytest.mark.parametrize(
    "record",
    [
        BOTH,
        {**BOTH, "id": 7},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
        {"prompt": "Hi", "completion": "Hello."},
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ASSISTANT]},
    ],
)
def test_each_form_is_the_same_conversation(record: dict[str, Any]) -> None:
    assert conversation(record, "x").messages == (USER, ASSISTANT)


def test_sharegpts_system_and_roles_are_messages() -> None:
    turns = [{"from": who, "value": who} for who in ("human", "gpt", "observation", "assistant")]
    found = conversation({"system": "Be kind.", "conversations": turns}, "x").messages
    assert [each["role"] for each in found] == ["system", "user", "assistant", "tool", "assistant"]


def test_text_parts_are_joined_by_a_line_break_as_in_serving() -> None:
    parts = [{"type": "text", "text": "The file ends here"}, {"type": "text", "text": "What is 2+2?"}]
    found = conversation({"messages": [{"role": "user", "content": parts}, ASSISTANT]}, "x")
    assert found.messages[0]["content"] == "The file ends here\nWhat is 2+2?"


def test_a_json_array_is_read_as_json_lines_are(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([BOTH, BOTH], indent=2))
    (tmp_path / "b.jsonl").write_text("\ufeff" + json.dumps(BOTH) + "\r\n\n" + json.dumps(BOTH))
    (tmp_path / ".hidden.jsonl").write_text("rubbish")
    found = read_conversations(tmp_path)
    assert [each.messages for each in found] == [(USER, ASSISTANT)] * 4
    assert [each.where for each in found] == [
        f"{tmp_path}/a.json: item 1",
        f"{tmp_path}/a.json: item 2",
        f"{tmp_path}/b.jsonl:1",
        f"{tmp_path}/b.jsonl:3",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[" * 100_000, "not valid JSON: nested too deeply"),
        (rb'{"messages": [{"role": "user", "content": "\ud83d"}]}', "contains half of a surrogate pair"),
        (b'{"messages": "\xff"}', "not UTF-8"),
        (b'{"messages": [{"role": "assistant", "content": "Hi"}]}', "the assistant speaks first"),
        (
            b'{"messages": [{"role": "system", "content": "x"}, {"role": "assistant", "content": "Hi"}]}',
            "the assistant speaks first",
        ),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "message 1 has no content"),
        (b'{"text": "plain"}', "has no list of messages"),
        (b'{"prompt": "Hi", "completion": "Yes", "score": 1}', "has the unknown key 'score'"),
        (b'{"conversations": [{"from": "alien", "value": "x"}]}', "turn 1 has an invalid 'from'"),
    ],
)
def test_what_is_no_conversation_is_one_line_with_file_and_place(
    tmp_path: Path, line: bytes, message: str
) -> None:
    (tmp_path / "chat.jsonl").write_bytes(json.dumps(BOTH).encode() + b"\n" + line)
    with pytest.raises(InputError) as error:
        read_conversations(tmp_path / "chat.jsonl")
    assert f"chat.jsonl:2: {message}" in str(error.value) or (
        f"chat.jsonl:2, turn 1: {message}" in str(error.value)
    )
    assert "\n" not in str(error.value)


def test_lines_in_a_json_file_are_refused_with_the_right_name(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(json.dumps(BOTH) + "\n" + json.dumps(BOTH))
    with pytest.raises(InputError, match=r"name the file \.jsonl if each of its lines is an object"):
        read_conversations(tmp_path)


def test_an_answer_of_weight_zero_is_context_and_not_learnt(tokenizer: Any) -> None:
    first = {**ASSISTANT, "content": "Wrong.", "weight": 0}
    chat = conversation({"messages": [USER, first, USER, {**ASSISTANT, "weight": 1}]}, "x")
    ((document,),), _ = render_all([chat], tokenizer, "2026-01-01")
    assert "Wrong." in document.text
    assert document.learnt == "Hello.<|im_end|>\n"


def test_tools_and_what_they_answer_are_in_the_text(tokenizer: Any) -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "12:00", "tool_call_id": "1", "name": "clock"},
        {"role": "assistant", "content": "It is noon."},
    ]
    chat = conversation({"messages": messages, "tools": [TOOL]}, "x")
    ((document,),), notes = render_all([chat], with_tools(tokenizer), "2026-01-01")
    assert '"description": "the time"' in document.text
    assert '{"name": "clock", "arguments": {"zone": "UTC"}}' in document.learnt
    assert "12:00" in document.text
    assert "12:00" not in document.learnt
    assert notes == ()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**BOTH, "tools": [TOOL]}, "the model's chat template ignores 'tools'"),
        (
            {"messages": [USER, {**ASSISTANT, "reasoning_content": "Hm."}]},
            "message 2 has the key 'reasoning_content', which the model's chat template ignores",
        ),
    ],
)
def test_what_the_models_template_does_not_read_is_refused_by_name(
    tokenizer: Any, record: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        render_all([conversation(record, "chat.jsonl:1")], tokenizer, "2026-01-01")
    assert f"chat.jsonl:1: {message}" in str(error.value)


def test_a_developer_is_the_system_to_a_template_that_knows_none(tokenizer: Any) -> None:
    chat = conversation({"messages": [{"role": "developer", "content": "Be brief."}, USER, ASSISTANT]}, "x")
    ((document,),), _ = render_all([chat], tokenizer, "2026-01-01")
    assert "<|im_start|>system\nBe brief.<|im_end|>" in document.text


def test_a_text_folder_says_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "A.TXT").write_bytes(b"\xef\xbb\xbfUpper case, with a mark before it.")
    (tmp_path / "b.jsonl").write_text('{"text": "One line."}\n{"text": "Another line."}\n')
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "note.txt").write_text("not for training")
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    documents, notes = read_text(tmp_path)
    assert [(each.id, each.text) for each in documents] == [
        ("A.TXT", "Upper case, with a mark before it."),
        ("b.jsonl:1", "One line."),
        ("b.jsonl:2", "Another line."),
    ]
    assert notes == ("2 text files are read, 2 other files are not (1 hidden, 1 .pdf)",)


def test_one_text_file_is_enough_of_a_path(tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text('{"text": "One line."}\n')
    assert [each.id for each in read_text(tmp_path / "all.jsonl")[0]] == ["all.jsonl:1"]


def test_conversations_given_as_text_are_pointed_to_their_kind(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text(json.dumps(BOTH))
    with pytest.raises(
        InputError, match=r"chat\.jsonl:1: has no 'text'; .* conversations are data of kind chat"
    ):
        read_text(tmp_path)


def test_own_held_out_conversations_are_held_out_and_their_kin_do_not_train(
    tmp_path: Path, tokenizer: Any
) -> None:
    def chat(*contents: str) -> dict[str, Any]:
        return {
            "messages": [{"role": ("user", "assistant")[n % 2], "content": c} for n, c in enumerate(contents)]
        }

    lines = [chat("Hi", "Hello."), chat("One?", "Yes.", "Two?", "No."), chat("Three?", "Perhaps.")]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "own.jsonl").write_text(
        "\n".join(map(json.dumps, [chat("One?", "Yes."), chat("Who?", "I.")]))
    )
    settings = Chat(path=tmp_path / "all.jsonl", held_out_path=tmp_path / "own.jsonl")
    made = prepare(settings, lambda: tokenizer)
    assert sorted(each.learnt[:3] for each in made.held_out) == ["I.<", "Yes"]
    assert sorted(each.learnt[:3] for each in made.training) == ["Hel", "Per"]
    assert made.repeated_documents == 1


def test_own_held_out_texts_are_not_trained_on(tmp_path: Path) -> None:
    same = "A paragraph that is long enough to be noticed in both."
    for folder, texts in {
        "train": [same, "Another paragraph that is long enough, too."],
        "own": [same],
    }.items():
        (tmp_path / folder).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / folder / f"{number}.txt").write_text(text)
    made = prepare(PlainText(path=tmp_path / "train", held_out_path=tmp_path / "own"), lambda: None)
    assert [each.text for each in made.held_out] == [same]
    assert [each.text for each in made.training] == ["Another paragraph that is long enough, too."]
