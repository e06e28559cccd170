"""The messages of a chat request, as the (role, text) that a chat template takes."""

from __future__ import annotations

from typing import Any

from scenario_model.serve.errors import bad_request
from scenario_model.serve.fields import expect, unsupported

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# Who spoke and what may be cached changes no answer: no chat template is given it.
_IGNORED = ("name", "id", "cache_control")
# At these values, other fields of a message or a part ask for nothing.
_NOTHING: tuple[Any, ...] = (None, [], {}, "")


def read_messages(messages: Any, where: str) -> tuple[dict[str, str], ...]:
    """Read the conversation. Raises ApiError 400 with the part at fault."""
    expect(messages, list, where)
    if not messages:
        raise bad_request("'messages' must contain at least one message.", where)
    return tuple(_message(message, f"{where}[{i}]") for i, message in enumerate(messages))


def _message(message: Any, where: str) -> dict[str, str]:
    expect(message, dict, where)
    _refuse_others(message, ("role", "content"), where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise bad_request(f"'{where}.role' must be one of {', '.join(_ROLES)}.", f"{where}.role")
    content = message.get("content")
    if content is None and role == "assistant":
        content = ""
    return {"role": _ROLES[role], "content": _content(content, f"{where}.content")}


def _content(content: Any, where: str) -> str:
    """A text, or parts of text joined by line breaks, as llama.cpp and vLLM do."""
    if isinstance(content, str):
        return content
    expect(content, list, where, "a text or a list of text parts")
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or "text" not in part:
            raise bad_request(f"'{where}' may contain only parts of type 'text'.", where)
        _refuse_others(part, ("type", "text"), where)
        expect(part["text"], str, f"{where}.text")
    return "\n".join(part["text"] for part in content)


def _refuse_others(given: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for name, value in given.items():
        if name not in known and name not in _IGNORED and value not in _NOTHING:
            raise unsupported(name, where)
