"""Conversations as documents, written by the model's chat template; only assistant turns are learnt."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from scenario_model.data.conversations import Conversation, conversation
from scenario_model.data.families import families
from scenario_model.data.records import SUFFIXES, read_records
from scenario_model.data.turns import as_served, write
from scenario_model.errors import InputError
from scenario_model.tokens.template import ChatTemplate, TemplateRefusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scenario_model.data.documents import Document


def read_conversations(path: Path) -> list[Conversation]:
    """Every conversation of a .jsonl or .json file, or of such files in a folder, sorted by path.

    Raises InputError with file, line and remedy for the first record that is not a conversation.
    """
    if not path.exists():
        raise InputError(
            "no such file or folder", where=str(path), remedy="give a JSONL file of conversations"
        )
    files = [path]
    if path.is_dir():
        files = sorted(
            each for each in path.rglob("*") if _is_taken(each.relative_to(path)) and each.is_file()
        )
    found = [conversation(record, where) for file in files for record, where in read_records(file)]
    if not found:
        raise InputError("contains no conversation", where=str(path), remedy="give a .jsonl or .json file")
    return found


def render_all(
    conversations: Sequence[Conversation], tokenizer: Any, day: str
) -> tuple[list[list[Document]], tuple[str, ...]]:
    """Write each conversation as the model reads it; returns its documents, and notes for a person.

    `day`: date for templates that write one, as 2026-01-31. Raises InputError with file and line for one that
    the model's chat template does not take.
    """
    template = ChatTemplate(tokenizer, lambda: date.fromisoformat(day))
    written = []
    for each in conversations:
        try:
            written.append(write(each, template))
        except TemplateRefusal as error:
            raise InputError(error.what, where=each.where, remedy=error.remedy) from None
    made = [
        [replace(document, family=family) for document in documents]
        for documents, family in zip(as_served(written, tokenizer), families(conversations), strict=True)
    ]
    several = sum(len(documents) > 1 for documents in made)
    note = (
        f"the chat template writes earlier turns in another way: {several} conversations are learnt turn by "
        "turn, each after what the model reads before it"
    )
    return made, (note,) if several else ()


def _is_taken(relative: Path) -> bool:
    hidden = any(part.startswith(".") for part in relative.parts)
    return not hidden and relative.suffix.lower() in SUFFIXES
