"""Reads conversations and renders them with the model's chat template; only assistant turns are learnt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scenario_model.data.documents import Document
from scenario_model.digests import json_digest
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_ROLES = ("system", "user", "assistant")
_SHAPE = (
    'one line looks like {"messages": [{"role": "user", "content": "…"}, '
    '{"role": "assistant", "content": "…"}]}'
)

Messages = list[dict[str, str]]


def read_chat(path: Path, tokenizer: Any) -> list[Document]:
    """Every conversation of a JSONL file, or of a folder's .jsonl files, rendered; its id is its digest.

    Raises InputError with file, line and remedy for the first line that is not a conversation.
    """
    if not path.exists():
        raise InputError(
            "no such file or folder", where=str(path), remedy="give a JSONL file of conversations"
        )
    if not tokenizer.chat_template:
        remedy = "use an instruction-tuned foundation model, or data of kind text"
        raise InputError("the foundation model has no chat template", where=str(path), remedy=remedy)
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    documents = [
        render(messages, tokenizer, where) for file in files for messages, where in _conversations(file)
    ]
    if not documents:
        raise InputError("contains no conversation", where=str(path), remedy=_SHAPE)
    return documents


def render(messages: Messages, tokenizer: Any, where: str) -> Document:
    """Render one conversation; its spans are the assistant's turns, each with its end-of-turn token.

    Raises InputError if the template changes earlier turns when later ones are added, so that spans are
    uncertain.
    """
    text = _template(tokenizer, messages, where)
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = _template(tokenizer, messages[:index], where, add_generation_prompt=True)
        turn = _template(tokenizer, messages[: index + 1], where)
        if not (turn.startswith(prompt) and text.startswith(turn)):
            remedy = "split the conversation so that the assistant speaks last, once"
            raise InputError("the chat template rewrites earlier turns", where=where, remedy=remedy)
        spans.append((len(prompt), len(turn)))
    return Document(json_digest(messages), text, tuple(spans))


def _conversations(path: Path) -> list[tuple[Messages, str]]:
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            found.append((_messages(line, where), where))
    return found


def _messages(line: bytes, where: str) -> Messages:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", where=where, remedy=_SHAPE) from None
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages:
        raise InputError("has no list of messages", where=where, remedy=_SHAPE)
    for index, message in enumerate(messages):
        _check(message, f"message {index + 1}", where)
    if not any(message["role"] == "assistant" for message in messages):
        raise InputError("has no assistant message to learn from", where=where, remedy=_SHAPE)
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _check(message: Any, name: str, where: str) -> None:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise InputError(
            f"{name} has an invalid role; use one of {', '.join(_ROLES)}", where=where, remedy=_SHAPE
        )
    if not isinstance(message.get("content"), str) or not message["content"].strip():
        raise InputError(f"{name} has no content", where=where, remedy="its content must be a non-empty text")
    unknown = sorted(set(message) - {"role", "content"})
    if unknown:
        raise InputError(f"{name} has the unknown key {unknown[0]!r}", where=where, remedy="remove it")


def _template(tokenizer: Any, messages: Messages, where: str, *, add_generation_prompt: bool = False) -> str:
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )
    except TemplateError as error:
        remedy = "order the messages as the foundation model's chat template expects"
        raise InputError(f"the chat template rejects it: {error}", where=where, remedy=remedy) from None
