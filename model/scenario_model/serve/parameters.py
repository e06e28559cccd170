"""Parses request bodies into typed parameters; unknown ones are refused by name.

The parameters are those of the OpenAI API reference for chat completions and completions, and vLLM's
`ignore_eos`. An unsupported one is accepted only at its neutral value (`n: 1`), never ignored: a client that
asks for log probabilities must not silently get none.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from scenario_model.serve.errors import bad_request

_MISSING = object()
_SURROGATES = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_STOPS = 4
_MAX_STOP_LENGTH = 256
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

# Unsupported parameters of OpenAI and vLLM, with their neutral values.
_ASKS_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "suffix": ("",),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "metadata": ({},),
    "top_k": (0, -1),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "min_tokens": (0,),
    "skip_special_tokens": (True,),
    "use_beam_search": (False,),
}


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
    fields = _Fields(body)
    messages = fields.take("messages", list)
    if not messages:
        raise bad_request("'messages' must contain at least one message.", "messages")
    parsed = tuple(_message(message, f"messages[{i}]") for i, message in enumerate(messages))
    limits = [fields.take_number(name, int, None, low=1) for name in ("max_tokens", "max_completion_tokens")]
    given = {limit for limit in limits if limit is not None}
    if len(given) > 1:
        raise bad_request(
            "'max_tokens' and 'max_completion_tokens' differ: send one.", "max_completion_tokens"
        )
    common = _common(fields)
    fields.refuse_rest()
    return ChatParameters(messages=parsed, max_tokens=next(iter(given), None), **common)


def parse_completion(body: dict[str, Any]) -> CompletionParameters:
    """Read a completion request. Raises ApiError 400 with the parameter."""
    fields = _Fields(body)
    prompt = _prompt(fields.take("prompt", (str, list)))
    max_tokens = fields.take_number("max_tokens", int, None, low=1)
    common = _common(fields)
    fields.refuse_rest()
    return CompletionParameters(prompt=prompt, max_tokens=max_tokens, **common)


class _Fields:
    """The keys of a request, taken one by one; null counts as absent."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._left = {name: value for name, value in body.items() if value is not None}

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        value = self._left.pop(name, default)
        if value is _MISSING:
            raise bad_request(f"'{name}' is missing.", name, "missing_required_parameter")
        if value is not default:
            _expect(value, kind, name)
        return value

    def take_number(
        self, name: str, kind: type[int | float], default: Any, *, low: float, high: float = math.inf
    ) -> Any:
        """Take a number between low and high, inclusive."""
        value = self.take(name, int if kind is int else (int, float), default)
        if value is default:
            return default
        if not low <= value <= high:
            limits = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise bad_request(f"'{name}' must be {limits}, not {value!r:.40}.", name)
        return kind(value)

    def refuse_rest(self) -> None:
        for name, value in self._left.items():
            if not any(_same(value, nothing) for nothing in _ASKS_NOTHING.get(name, ())):
                raise bad_request(
                    f"Unsupported parameter: '{name:.64}' is not supported by this server.",
                    name[:64],
                    "unsupported_parameter",
                )


def _common(fields: _Fields) -> dict[str, Any]:
    stream = fields.take("stream", bool, False)
    return {
        "model": fields.take("model", str),
        "stream": stream,
        "include_usage": _include_usage(fields.take("stream_options", dict, None), stream),
        "temperature": fields.take_number("temperature", float, 1.0, low=0, high=2),
        "top_p": _top_p(fields.take_number("top_p", float, 1.0, low=0, high=1)),
        "seed": fields.take_number("seed", int, None, low=-(2**63), high=2**63 - 1),
        "stop": _stop(fields.take("stop", (str, list), ())),
        "ignore_eos": fields.take("ignore_eos", bool, False),
    }


def _top_p(value: float) -> float:
    if value == 0:
        raise bad_request("'top_p' must be above 0; for greedy answers send 'temperature': 0.", "top_p")
    return value


def _include_usage(options: dict[str, Any] | None, stream: bool) -> bool:
    if options is None:
        return False
    if not stream:
        raise bad_request("'stream_options' needs 'stream': true.", "stream_options")
    for name, value in options.items():
        if name not in ("include_usage", "include_obfuscation", "continuous_usage_stats"):
            raise bad_request(f"Unsupported parameter: 'stream_options.{name:.64}'.", "stream_options")
        _expect(value, bool, f"stream_options.{name}")
        if name != "include_usage" and value:
            raise bad_request(f"Unsupported parameter: 'stream_options.{name}'.", "stream_options")
    return bool(options.get("include_usage", False))


def _stop(value: str | list[Any] | tuple[()]) -> tuple[str, ...]:
    stops = (value,) if isinstance(value, str) else tuple(value)
    if len(stops) > _MAX_STOPS:
        raise bad_request(f"'stop' may contain at most {_MAX_STOPS} texts, not {len(stops)}.", "stop")
    for stop in stops:
        _expect(stop, str, "stop")
        if not 0 < len(stop) <= _MAX_STOP_LENGTH:
            raise bad_request(f"A 'stop' text must have 1 to {_MAX_STOP_LENGTH} characters.", "stop")
    return stops


def _prompt(value: str | list[Any]) -> str | tuple[int, ...]:
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        if len(value) > 1:
            raise bad_request(
                f"'prompt' contains {len(value)} prompts; this server accepts one per request.", "prompt"
            )
        value = value[0]
    if not value:
        raise bad_request("'prompt' is empty.", "prompt")
    if isinstance(value, str):
        return value
    if set(map(type, value)) != {int}:
        for token in value:
            _expect(token, int, "prompt")
    return tuple(value)


def _message(message: Any, where: str) -> dict[str, str]:
    _expect(message, dict, where)
    for name in message:
        if name not in ("role", "content") and message[name] not in (None, []):
            raise bad_request(f"Unsupported parameter: '{where}.{name:.64}'.", where, "unsupported_parameter")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise bad_request(f"'{where}.role' must be one of {', '.join(_ROLES)}.", f"{where}.role")
    return {"role": _ROLES[role], "content": _content(message.get("content"), f"{where}.content")}


def _content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    _expect(content, list, where, "a text or a list of text parts")
    for part in content:
        if not isinstance(part, dict) or set(part) != {"type", "text"} or part["type"] != "text":
            raise bad_request(f"'{where}' may contain only parts of type 'text'.", where)
        _expect(part["text"], str, f"{where}.text")
    return "".join(part["text"] for part in content)


_NAMES: dict[
    type, Literal["a text", "a list", "an object", "a whole number", "a number", "true or false"]
] = {
    str: "a text",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _expect(value: Any, kind: type | tuple[type, ...], where: str, wanted: str = "") -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
        return
    if not wanted:
        wanted = "a number" if float in kinds else " or ".join(_NAMES[k] for k in kinds)
    found = "null" if value is None else _NAMES[type(value)]
    raise bad_request(f"'{where}' must be {wanted}, not {found}.", where, "invalid_type")


def _same(value: Any, nothing: Any) -> bool:
    # In Python True == 1; in JSON they differ.
    return isinstance(value, bool) == isinstance(nothing, bool) and bool(value == nothing)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("duplicate key")
    return mapping


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
