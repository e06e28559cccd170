"""The fields of a request, each declared once; unknown ones are refused by name.

They are those of the OpenAI API reference for chat completions and completions, and of vLLM and llama.cpp. One that
would change the answer and is not supported is accepted only at values that ask for nothing (`n: 1`), and is never
ignored: a client that asks for log probabilities must not silently get none. `docs/serving-engines.md` has the table.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from scenario_model.serve.errors import bad_request
from scenario_model.serve.fields import (
    REQUIRED,
    Field,
    as_whole,
    expect,
    flag,
    ignored,
    number,
    only,
    read_fields,
    text,
    unsupported,
    whole,
)
from scenario_model.serve.messages import read_messages

_SURROGATES = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_STOPS = 64
_MAX_STOP_LENGTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters of a request. `max_tokens` None: as many as fit (chat), or the endpoint's default."""

    model: str
    stream: bool
    include_usage: bool
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    ignore_eos: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParameters(Parameters):
    """`/v1/chat/completions`: messages as (role, text), in the order of the conversation."""

    messages: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionParameters(Parameters):
    """`/v1/completions`: a prompt to continue, or its token ids."""

    prompt: str | tuple[int, ...]


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a request body: one JSON object in UTF-8, each key once, numbers finite. Raises ApiError 400."""
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
        if _SURROGATES.search(body):
            # A lone one is valid JSON, but no tokenizer accepts it.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise bad_request("The request body is nested too deeply.") from None
    except UnicodeError:
        raise bad_request("The request body is not valid UTF-8 text.") from None
    except ValueError as error:
        raise bad_request(f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise bad_request("The request body must be a JSON object.")
    return value


def parse_chat(body: dict[str, Any]) -> ChatParameters:
    """Read a chat completion request. Raises ApiError 400 with the parameter."""
    values = read_fields(body, CHAT)
    limits = {values[name] for name in ("max_tokens", "max_completion_tokens")} - {None}
    if len(limits) > 1:
        raise bad_request(
            "'max_tokens' and 'max_completion_tokens' differ: send one.", "max_completion_tokens"
        )
    return ChatParameters(messages=values["messages"], max_tokens=next(iter(limits), None), **_common(values))


def parse_completion(body: dict[str, Any]) -> CompletionParameters:
    """Read a completion request. Raises ApiError 400 with the parameter."""
    values = read_fields(body, COMPLETION)
    return CompletionParameters(prompt=values["prompt"], max_tokens=values["max_tokens"], **_common(values))


def known_parameter(param: str | None) -> str | None:
    """Return the field that an error is about, without indices; what is not declared here is `other`."""
    if param is None:
        return None
    name = re.split(r"[.\[]", param, maxsplit=1)[0]
    return name if name in CHAT or name in COMPLETION else "other"


def _common(values: dict[str, Any]) -> dict[str, Any]:
    names = ("model", "stream", "top_p", "temperature", "seed", "stop", "ignore_eos")
    greedy = {"temperature": 0.0, "top_p": 1.0} if values["top_p"] == 0 else {}
    return {name: values[name] for name in names} | greedy | {"include_usage": values["stream_options"]}


def _seed(value: Any, name: str) -> int:
    """A seed of 64 bits, with or without a sign; the engines take the former."""
    seed = int(whole(-(2**63), 2**64 - 1, "", "").read(value, name))
    return seed - 2**64 if seed >= 2**63 else seed


def _include_usage(options: Any, name: str) -> bool:
    expect(options, dict, name)
    for option, value in options.items():
        if option not in ("include_usage", "include_obfuscation", "continuous_usage_stats"):
            raise unsupported(option, name)
        if value is not None and expect(value, bool, f"{name}.{option}") and option != "include_usage":
            raise unsupported(option, name)
    return bool(options.get("include_usage", False))


def _stop(value: Any, name: str) -> tuple[str, ...]:
    expect(value, (str, list), name)
    stops = [value] if isinstance(value, str) else value
    if len(stops) > _MAX_STOPS:
        raise bad_request(f"'stop' may contain at most {_MAX_STOPS} texts, not {len(stops)}.", name)
    for stop in stops:
        if len(expect(stop, str, name)) > _MAX_STOP_LENGTH:
            raise bad_request(f"A 'stop' text may have at most {_MAX_STOP_LENGTH} characters.", name)
    return tuple(dict.fromkeys(filter(None, stops)))


def _prompt(value: Any, name: str) -> str | tuple[int, ...]:
    expect(value, (str, list), name)
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        if len(value) > 1:
            raise bad_request(
                f"'prompt' contains {len(value)} prompts; this server accepts one per request.", name
            )
        value = value[0]
    if not value:
        raise bad_request("'prompt' is empty.", name)
    if isinstance(value, str):
        return value
    # A hundred thousand of them are checked without a call for each.
    return tuple(value) if set(map(type, value)) == {int} else tuple(as_whole(token, name) for token in value)


def _no_bias(value: Any, name: str) -> None:
    if not isinstance(value, dict) or any(type(bias) not in (int, float) or bias for bias in value.values()):
        raise unsupported(name)


_LENGTH = whole(1, math.inf, "at least 1", "length of the answer, in tokens")

# The fields of both endpoints that are used.
_USED = {
    "model": text(REQUIRED, "the release's name, alone or with its digest"),
    "stream": flag(default=False, effect="the answer comes as server-sent events"),
    "stream_options": Field("`include_usage`", _include_usage, False, "a last event with the token counts"),
    "max_tokens": _LENGTH,
    "temperature": number(0, 2, 1.0, "0 is greedy"),
    "top_p": number(0, 1, 1.0, "0 is greedy"),
    "seed": Field("64 bits, with or without a sign", _seed, None, "same seed, same answer"),
    "stop": Field(
        f"a text or up to {_MAX_STOPS}, of up to {_MAX_STOP_LENGTH} characters; empty ones stop nothing",
        _stop,
        (),
        "the answer ends before the first of them",
    ),
    "ignore_eos": flag(default=False, effect="continue past the model's end-of-text token"),
}
# Fields that change no answer.
_IGNORED = dict.fromkeys(
    (
        "user", "metadata", "store", "service_tier", "safety_identifier", "prediction", "cache_prompt",
        "prompt_cache_key", "prompt_cache_retention", "request_id", "parallel_tool_calls",
    ),
    ignored(),
)  # fmt: skip
# Fields that would change the answer, with the values at which they ask for nothing.
_UNSUPPORTED = {
    "n": only(1),
    "best_of": only(1),
    "echo": only(False),
    "frequency_penalty": only(0),
    "presence_penalty": only(0),
    "repetition_penalty": only(1),
    "repeat_penalty": only(1),
    "length_penalty": only(1),
    "logprobs": only(False),
    "top_logprobs": only(0),
    "logit_bias": Field("biases of 0", _no_bias, None, only().effect),
    "suffix": only("", accepts="an empty text"),
    "tools": only([]),
    "functions": only([]),
    "tool_choice": only("none", "auto"),
    "function_call": only("none", "auto"),
    "response_format": only({"type": "text"}),
    "modalities": only(["text"]),
    "reasoning_effort": only("none"),
    "verbosity": only("medium"),
    "top_k": only(0, -1),
    "min_p": only(0),
    "typical_p": only(1),
    "min_tokens": only(0),
    "priority": only(0),
    "bad_words": only([]),
    "stop_token_ids": only([]),
    "skip_special_tokens": only(True),
    "spaces_between_special_tokens": only(True),
    "include_stop_str_in_output": only(False),
    "use_beam_search": only(False),
    "return_token_ids": only(False),
    "return_tokens_as_token_ids": only(False),
}
_CHAT_ONLY = {
    "messages": Field("a list of messages; see below", read_messages, REQUIRED, "the conversation"),
    "max_completion_tokens": _LENGTH,
    "add_generation_prompt": only(True),
    "continue_final_message": only(False),
    "add_special_tokens": only(False),
    "chat_template_kwargs": only({}),
    "documents": only([]),
}
CHAT = _USED | _CHAT_ONLY | _IGNORED | _UNSUPPORTED
COMPLETION = (
    _USED
    | {
        "prompt": Field(
            "a text, or token ids; one, also in a list", _prompt, REQUIRED, "the text to continue"
        ),
        "add_special_tokens": only(True),
    }
    | _IGNORED
    | _UNSUPPORTED
)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("duplicate key")
    return mapping


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
