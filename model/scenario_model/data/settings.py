"""The `data` part of a training configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the configuration loader reads the annotations
from typing import Annotated, Literal

from scenario_model.config import Range

_Share = Annotated[float, Range(above=0, high=0.5)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonReference:
    """Python's own language reference, which every Python carries: one document a topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: _Share = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Conversations: a JSONL file, or a folder of them, each line {"messages": [{"role", "content"}, …]}."""

    path: Path
    kind: Literal["chat"] = "chat"
    held_out: _Share = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Plain text: a folder of .txt, .md and .rst files, one document a file."""

    path: Path
    kind: Literal["text"] = "text"
    held_out: _Share = 0.1


DataSettings = PythonReference | Chat | Text
