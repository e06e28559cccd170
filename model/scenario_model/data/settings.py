"""The `data` part of a training configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import HostPath, Kinds, Section

Share = Annotated[float, Field(gt=0, le=0.5)]


class PythonReference(Section):
    """Python's own language reference, included in every Python: one document per topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: Share = 0.1
    """Share of the documents held out from training, for the gate."""


class Chat(Section):
    """Conversations: JSON lines, each {"messages": [{"role", "content"}, …]}."""

    kind: Literal["chat"] = "chat"
    path: HostPath
    """A JSONL file or a folder of them, on every training host."""
    held_out: Share = 0.1
    """Share of the conversations held out from training, for the gate."""


class PlainText(Section):
    """Plain text: .txt, .md and .rst files, one document per file."""

    kind: Literal["text"] = "text"
    path: HostPath
    """A folder, on every training host."""
    held_out: Share = 0.1
    """Share of the documents held out from training, for the gate."""


Data = Annotated[PythonReference | Chat | PlainText, Kinds(default="python-reference")]
