"""Conversations in the forms that people have them: messages, ShareGPT, prompt and completion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario_model.tokens.template import Message

_ROLES = ("system", "developer", "user", "assistant", "tool")
_MESSAGE_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id", "weight", "reasoning_content"}
_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "tool": "tool",
    "observation": "tool",
}
_SHAPE = (
    'one line looks like {"messages": [{"role": "user", "content": "…"}, '
    '{"role": "assistant", "content": "…"}]}'
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order, the tools they may call, and where they were read.

    `unlearnt`: indices of assistant messages that are context only ("weight": 0).
    """

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    where: str
    unlearnt: frozenset[int] = frozenset()


def conversation(record: Mapping[str, Any], where: str) -> Conversation:
    """Understand one record. Raises InputError naming message and key."""
    keys = set(record)
    if "messages" in keys:
        _only(record, {"messages", "tools", "id"}, where)
        found = record["messages"]
    elif "conversations" in keys:
        _only(record, {"conversations", "system", "tools", "id"}, where)
        found = _from_sharegpt(record, where)
    elif {"prompt", "completion"} <= keys:
        _only(record, {"prompt", "completion", "tools", "id"}, where)
        found = [*_side(record["prompt"], "user"), *_side(record["completion"], "assistant")]
    else:
        raise InputError("has no list of messages", where=where, remedy=_SHAPE)
    if not isinstance(found, list) or not found:
        raise InputError("has no list of messages", where=where, remedy=_SHAPE)
    messages = tuple(_message(each, f"message {n}", where) for n, each in enumerate(found, start=1))
    unlearnt = frozenset(n for n, each in enumerate(found) if each.get("weight", 1) == 0)
    _check_order(messages, unlearnt, where)
    return Conversation(messages, _tools(record.get("tools") or [], where), where, unlearnt)


def _only(record: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(record) - known)
    if unknown:
        raise InputError(
            f"has the unknown key {unknown[0]!r}", where=where, remedy="remove it; it would not be learnt"
        )


def _from_sharegpt(record: Mapping[str, Any], where: str) -> Any:
    turns = record["conversations"]
    if not isinstance(turns, list):
        return None
    messages = [{"role": "system", "content": record["system"]}] if record.get("system") else []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict) or turn.get("from") not in _SHAREGPT_ROLES:
            known = ", ".join(_SHAREGPT_ROLES)
            raise InputError(
                f"turn {number} has an invalid 'from'; use one of {known}", where=where, remedy=_SHAPE
            )
        _only(turn, {"from", "value", "weight"}, f"{where}, turn {number}")
        message = {"role": _SHAREGPT_ROLES[turn["from"]], "content": turn.get("value")}
        messages.append(message | {key: turn[key] for key in ("weight",) if key in turn})
    return messages


def _side(value: Any, role: str) -> list[Any]:
    """One half of prompt and completion: a text, or messages already."""
    return value if isinstance(value, list) else [{"role": role, "content": value}]


def _message(message: Any, name: str, where: str) -> Message:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        what = f"{name} has an invalid role; use one of {', '.join(_ROLES)}"
        raise InputError(what, where=where, remedy=_SHAPE)
    unknown = sorted(set(message) - _MESSAGE_KEYS)
    if unknown:
        raise InputError(f"{name} has the unknown key {unknown[0]!r}", where=where, remedy="remove it")
    if message.get("weight", 1) not in {0, 1}:
        raise InputError(f"{name} has a weight other than 0 or 1", where=where, remedy="use 0 or 1")
    kept = {key: value for key, value in message.items() if key != "weight" and value is not None}
    content = _text(message.get("content"))
    calls = message.get("tool_calls")
    if content is None and not (message["role"] == "assistant" and calls and message.get("content") is None):
        raise InputError(f"{name} has no content", where=where, remedy="its content must be a non-empty text")
    if calls is not None and not (
        message["role"] == "assistant" and isinstance(calls, list) and all(isinstance(c, dict) for c in calls)
    ):
        remedy = "only an assistant has them, as a list of objects"
        raise InputError(f"{name} has invalid tool_calls", where=where, remedy=remedy)
    return {**kept, "content": content or ""} | (
        {"tool_calls": [_call(c, name, where) for c in calls]} if calls else {}
    )


def _call(call: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """A tool call with its arguments as an object, as chat templates take them; OpenAI's are JSON text."""
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(arguments, str):
        return call
    try:
        return {**call, "function": {**call["function"], "arguments": json.loads(arguments)}}
    except ValueError:
        what = f"{name} has a tool call whose arguments are not JSON"
        raise InputError(what, where=where, remedy="write them as a JSON object") from None


def _text(content: Any) -> str | None:
    """A message's text; None if there is none. Text parts are joined by line breaks, as in serving."""
    if isinstance(content, list):
        parts: list[Any] = content
        texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
        content = "\n".join(map(str, texts)) if len(texts) == len(parts) else None
    return content if isinstance(content, str) and content.strip() else None


def _tools(tools: Any, where: str) -> tuple[dict[str, Any], ...]:
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InputError("has invalid tools", where=where, remedy="give a list of JSON schema objects")
    return tuple(tools)


def _check_order(messages: tuple[Message, ...], unlearnt: frozenset[int], where: str) -> None:
    learnt = [n for n, each in enumerate(messages) if each["role"] == "assistant" and n not in unlearnt]
    if not learnt:
        raise InputError("has no assistant message to learn from", where=where, remedy=_SHAPE)
    if not any(each["role"] in {"user", "tool"} for each in messages[: learnt[0]]):
        remedy = "begin with the user's message: the model answers, it does not start"
        raise InputError("the assistant speaks first", where=where, remedy=remedy)
