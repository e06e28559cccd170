"""What a request may say: every mistake is named, nothing is ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scenario_model.serve.errors import ApiError
from scenario_model.serve.parameters import CHAT as CHAT_FIELDS
from scenario_model.serve.parameters import COMPLETION as COMPLETION_FIELDS
from scenario_model.serve.parameters import parse_chat, parse_completion, parse_json

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
TEXT = {"model": "m", "prompt": "Hi"}


def test_the_defaults_are_openais() -> None:
    chat = parse_chat(CHAT)
    assert (chat.temperature, chat.top_p, chat.seed, chat.stop) == (1.0, 1.0, None, ())
    assert (chat.stream, chat.include_usage, chat.max_tokens, chat.ignore_eos) == (False, False, None, False)


@pytest.mark.parametrize(
    "nothing",
    [
        {"n": 1},
        {"n": None},
        {"frequency_penalty": 0},
        {"presence_penalty": 0.0},
        {"logprobs": False},
        {"logprobs": None},
        {"logit_bias": {}},
        {"tools": []},
        {"response_format": {"type": "text"}},
        {"repetition_penalty": 1.0, "top_k": -1},
        {"user": None},
        {"user": "somebody", "metadata": {"run": "7"}, "store": True, "service_tier": "flex"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"},
        {"prediction": {"type": "content", "content": "Hi"}, "parallel_tool_calls": True},
        {"n": 1.0, "top_logprobs": 0.0, "logit_bias": {"50256": 0}},
        {"stop": ""},
        {"stop": []},
        {"stop": ["", ""]},
        {"stream_options": {"include_usage": None, "include_obfuscation": False}},
        {"functions": [], "tool_choice": "auto", "reasoning_effort": "none", "verbosity": "medium"},
    ],
)
def test_a_parameter_that_asks_for_nothing_is_fine(nothing: dict[str, Any]) -> None:
    assert parse_chat({**CHAT, **nothing}) == parse_chat(CHAT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("n", True),
        ("best_of", 3),
        ("frequency_penalty", 0.1),
        ("logprobs", True),
        ("logprobs", 0),
        ("top_logprobs", 5),
        ("logit_bias", {"1": 5}),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}),
        ("top_k", 40),
        ("echo", True),
        ("suffix", "end"),
        ("logit_bias", {"1": 0, "2": -1}),
        ("logit_bias", {"1": False}),
        ("logit_bias", []),
        ("verbosity", "low"),
        ("cache_salt", "private"),
        ("reasoning_effort", "low"),
        ("temprature", 0.5),
    ],
)
def test_an_unsupported_parameter_is_refused_by_name(name: str, value: Any) -> None:
    for parse, body in ((parse_chat, CHAT), (parse_completion, TEXT)):
        with pytest.raises(ApiError) as refused:
            parse({**body, name: value})
        assert refused.value.status == 400
        assert f"'{name}'" in refused.value.message
        assert (refused.value.param, refused.value.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("model", 5, "a text, not a whole number"),
        ("temperature", "warm", "a number, not a text"),
        ("temperature", True, "a number, not true or false"),
        ("temperature", 2.1, "between 0 and 2"),
        ("temperature", -0.1, "between 0 and 2"),
        ("temperature", float("inf"), "between 0 and 2"),
        ("top_p", 1.1, "between 0 and 1"),
        ("seed", 1.5, "a whole number, not a number"),
        ("seed", 2**64, "between"),
        ("seed", -(2**63) - 1, "between"),
        ("seed", 2.0**64, "between"),
        ("max_tokens", 0, "at least 1"),
        ("max_tokens", False, "a whole number"),
        ("max_tokens", 4.5, "a whole number"),
        ("max_tokens", 0.0, "at least 1"),
        ("max_tokens", "4", "a whole number, not a text"),
        ("stop", 5, "a text or a list"),
        ("stop", ["a" * 257], "at most 256 characters"),
        ("stop", ["a"] * 65, "at most 64"),
        ("stop", [None], "a text, not null"),
        ("stop", ["a", 1], "a text"),
        ("stream", "yes", "true or false"),
        ("ignore_eos", 1, "true or false"),
        ("stream_options", {"include_usage": 1}, "true or false"),
        ("stream_options", {"continuous_usage_stats": True}, "Unsupported parameter"),
        ("stream_options", {"anything": None}, "Unsupported parameter"),
    ],
)
def test_a_bad_value_is_named(name: str, value: Any, says: str) -> None:
    for parse, body in ((parse_chat, CHAT), (parse_completion, TEXT)):
        with pytest.raises(ApiError) as refused:
            parse({**body, name: value})
        assert name in refused.value.message
        assert says in refused.value.message
        assert (refused.value.param or "").partition(".")[0] == name


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ({"max_tokens": 4.0}, {"max_tokens": 4}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"top_p": 0}, {"temperature": 0.0, "top_p": 1.0}),
        ({"top_p": 0.0, "temperature": 1.5}, {"temperature": 0.0, "top_p": 1.0}),
        ({"seed": 7.0}, {"seed": 7}),
        ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
        ({"seed": -(2**63)}, {"seed": -(2**63)}),
        ({"seed": 2**63}, {"seed": -(2**63)}),
        ({"seed": 2**64 - 1}, {"seed": -1}),
        ({"stop": "a"}, {"stop": ("a",)}),
        ({"stop": ["a", "", "b", "a"]}, {"stop": ("a", "b")}),
        ({"stop": [str(i) for i in range(64)]}, {"stop": tuple(str(i) for i in range(64))}),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}),
    ],
)
def test_a_value_means_the_same_however_it_is_written(given: dict[str, Any], means: dict[str, Any]) -> None:
    for parse, body in ((parse_chat, CHAT), (parse_completion, TEXT)):
        parsed = parse({**body, **given})
        assert {name: getattr(parsed, name) for name in means} == means


def test_every_field_may_be_null_or_is_required() -> None:
    for fields, parse, body in ((CHAT_FIELDS, parse_chat, CHAT), (COMPLETION_FIELDS, parse_completion, TEXT)):
        for name in fields:
            if name not in body:
                assert parse({**body, name: None}) == parse(body)
            else:
                with pytest.raises(ApiError, match=f"'{name}' is missing"):
                    parse({**body, name: None})


def test_the_documentation_has_every_field_as_it_is_declared() -> None:
    page = Path(__file__).parents[3] / "docs" / "serving-engines.md"
    section = page.read_text(encoding="utf-8").partition("## What a request may say")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    expected = []
    for name, field in (CHAT_FIELDS | COMPLETION_FIELDS).items():
        both = name in CHAT_FIELDS and name in COMPLETION_FIELDS
        where = "both" if both else "chat" if name in CHAT_FIELDS else "completions"
        accepts = field.accepts
        if both and CHAT_FIELDS[name].accepts != accepts:
            accepts = f"chat: {CHAT_FIELDS[name].accepts}; completions: {accepts}"
        expected.append(f"| `{name}` | {where} | {accepts} | {field.effect} |")
    assert rows == expected


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (["one", "two"], "contains 2 prompts"),
        ([[1], [2]], "contains 2 prompts"),
        ("", "empty"),
        ([], "empty"),
        ([[]], "empty"),
        ([1, "a"], "a whole number"),
        ([1.5], "a whole number"),
        ([True], "a whole number"),
        ({}, "a text or a list"),
        ([{}], "a whole number"),
    ],
)
def test_a_bad_prompt_is_named(prompt: Any, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_completion({**TEXT, "prompt": prompt})
    assert "'prompt'" in refused.value.message
    assert says in refused.value.message


@pytest.mark.parametrize("prompt", ["Hi", ["Hi"]])
def test_one_prompt_may_come_in_a_list(prompt: Any) -> None:
    assert parse_completion({**TEXT, "prompt": prompt}).prompt == "Hi"
    assert parse_completion({**TEXT, "prompt": [[1, 2]]}).prompt == (1, 2)
    assert parse_completion({**TEXT, "prompt": [1.0, 2]}).prompt == (1, 2)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "at least one"),
        ("Hi", "a list"),
        (["Hi"], "'messages[0]' must be an object"),
        ([{"content": "Hi"}], "'messages[0].role'"),
        ([{"role": "tool", "content": "Hi"}], "'messages[0].role'"),
        ([{"role": ["user"], "content": "Hi"}], "'messages[0].role'"),
        ([{"role": "user"}], "'messages[0].content'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "'messages[0].content'"),
        ([{"role": "user", "content": [{"type": "text", "text": 5}]}], "'messages[0].content.text'"),
        ([{"role": "user", "content": None}], "'messages[0].content'"),
        ([{"role": "system"}], "'messages[0].content'"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "'messages[0].tool_calls'"),
        ([{"role": "assistant", "content": "Hi", "refusal": "No."}], "'messages[0].refusal'"),
        ([{"role": "user", "content": "Hi", "weight": 1}], "'messages[0].weight'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "parts of type 'text'"),
        ([{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}], "'messages[0].content.x'"),
    ],
)
def test_a_bad_message_is_named(messages: Any, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_chat({**CHAT, "messages": messages})
    assert says in refused.value.message


def test_text_parts_are_joined_by_a_line_break_and_developers_are_the_system() -> None:
    parts = [{"type": "text", "text": text} for text in ("The file ends here", "What is 2+2?")]
    chat = parse_chat({**CHAT, "messages": [{"role": "developer", "content": parts}]})
    assert chat.messages == ({"role": "system", "content": "The file ends here\nWhat is 2+2?"},)


@pytest.mark.parametrize(
    ("texts", "content"), [([], ""), (["a"], "a"), (["a", ""], "a\n"), (["a\n", "b"], "a\n\nb")]
)
def test_as_many_line_breaks_as_there_are_gaps(texts: list[str], content: str) -> None:
    parts = [{"type": "text", "text": text} for text in texts]
    assert (
        parse_chat({**CHAT, "messages": [{"role": "user", "content": parts}]}).messages[0]["content"]
        == content
    )


@pytest.mark.parametrize(
    "message",
    [
        # As our own answer comes back.
        {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": [], "audio": None},
        {"role": "assistant", "content": "Hi", "annotations": [], "function_call": None, "reasoning": ""},
        {"role": "user", "content": "Hi", "name": "Bob"},
        {"role": "system", "content": "Hi", "name": "user_proxy", "id": "msg_1"},
        {"role": "user", "content": "Hi", "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "text", "text": "Hi", "annotations": []}]},
    ],
)
def test_what_else_a_message_says_changes_nothing(message: dict[str, Any]) -> None:
    expected = {"role": message["role"], "content": "Hi"}
    assert parse_chat({**CHAT, "messages": [message]}).messages == (expected,)


@pytest.mark.parametrize(
    "message", [{"role": "assistant"}, {"role": "assistant", "content": None, "tool_calls": []}]
)
def test_an_assistant_may_have_said_nothing(message: dict[str, Any]) -> None:
    assert parse_chat({**CHAT, "messages": [message]}).messages == ({"role": "assistant", "content": ""},)


def test_both_names_of_the_limit_must_agree() -> None:
    assert parse_chat({**CHAT, "max_completion_tokens": 5}).max_tokens == 5
    assert parse_chat({**CHAT, "max_tokens": 5, "max_completion_tokens": 5}).max_tokens == 5
    with pytest.raises(ApiError, match="differ"):
        parse_chat({**CHAT, "max_tokens": 4, "max_completion_tokens": 5})
    with pytest.raises(ApiError, match="max_completion_tokens"):
        parse_completion({**TEXT, "max_completion_tokens": 5})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_400(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_json(body)
    assert refused.value.status == 400


def test_a_body_is_read_as_it_is() -> None:
    assert parse_json(json.dumps(CHAT).encode()) == CHAT
