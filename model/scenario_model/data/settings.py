"""The `data` part of a training configuration."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scenario_model.config import HostPath, Kinds, Section, bad_key

FEWEST_HELD_OUT = 5
"""With fewer documents (or families of them), the gate's confidence intervals would be meaningless."""
Share = Annotated[float, Field(gt=0, le=0.5)]


def _is_a_date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise bad_key(f'is "{text}"', "write a date as 2026-01-31") from None
    return text


class ChatOptions(Section):
    """How conversations are read, wherever they are."""

    kind: Literal["chat"] = "chat"
    held_out: Share = 0.1
    """Share of the conversations held out from training, for the gate; those that share turns stay together."""
    date: Annotated[str, AfterValidator(_is_a_date)] = "2026-01-01"
    """Date for chat templates that write one: fixed, so that the same data gives the same run on every day."""


class TextOptions(Section):
    """How plain text is read, wherever it is."""

    kind: Literal["text"] = "text"
    held_out: Share = 0.1
    """Share of the documents held out from training, for the gate."""


class PythonReference(Section):
    """Python's own language reference, included in every Python: one document per topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: Share = 0.1
    """Share of the documents held out from training, for the gate."""


class Chat(ChatOptions):
    """Conversations as JSON lines or arrays: messages, ShareGPT's conversations, or prompt and completion."""

    path: HostPath
    """A .jsonl or .json file or a folder of them, on every training host."""
    held_out_path: HostPath | None = None
    """Your own held-out conversations, on every training host; `held_out` then has no effect."""


class PlainText(TextOptions):
    """Plain text: .txt, .md and .rst files, one document per file, and .jsonl files of {"text": …}."""

    path: HostPath
    """A file or folder, on every training host."""
    held_out_path: HostPath | None = None
    """Your own held-out documents, on every training host; `held_out` then has no effect."""


Data = Annotated[PythonReference | Chat | PlainText, Kinds(default="python-reference")]
