"""What a request may say: every mistake is named, nothing is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scenario_model.serve.errors import ApiError
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
        ("user", "somebody"),
        ("top_k", 40),
        ("echo", True),
        ("suffix", "end"),
        ("store", True),
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
        ("top_p", 0, "above 0"),
        ("top_p", 1.1, "between 0 and 1"),
        ("seed", 1.5, "a whole number, not a number"),
        ("seed", 2**63, "between"),
        ("max_tokens", 0, "at least 1"),
        ("max_tokens", False, "a whole number"),
        ("stop", 5, "a text or a list"),
        ("stop", [""], "1 to 256 characters"),
        ("stop", ["a"] * 5, "at most 4"),
        ("stop", ["a", 1], "a text"),
        ("stream", "yes", "true or false"),
        ("ignore_eos", 1, "true or false"),
        ("stream_options", {"include_usage": True}, "'stream': true"),
    ],
)
def test_a_bad_value_is_named(name: str, value: Any, says: str) -> None:
    for parse, body in ((parse_chat, CHAT), (parse_completion, TEXT)):
        with pytest.raises(ApiError) as refused:
            parse({**body, name: value})
        assert name in refused.value.message
        assert says in refused.value.message
        assert refused.value.param == name


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
        ([{"role": "user", "content": "Hi", "name": "Bob"}], "'messages[0].name'"),
    ],
)
def test_a_bad_message_is_named(messages: Any, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_chat({**CHAT, "messages": messages})
    assert says in refused.value.message


def test_text_parts_are_joined_and_developers_are_the_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    chat = parse_chat({**CHAT, "messages": [{"role": "developer", "content": parts}]})
    assert chat.messages == ({"role": "system", "content": "ab"},)


def test_an_answer_of_ours_may_come_back_as_a_message() -> None:
    ours: dict[str, Any] = {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "tool_calls": [],
        "audio": None,
    }
    assert parse_chat({**CHAT, "messages": [ours]}).messages[0]["content"] == "Hello"


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
