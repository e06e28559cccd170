"""A document: text with an id, and for conversations the parts that the model learns to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One text; `spans` are the [start, end) character ranges to learn and to score, None for all of it."""

    id: str
    text: str
    spans: tuple[tuple[int, int], ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a line of held_out.jsonl: id, text, and spans where only parts count."""
        line: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.spans is not None:
            line["spans"] = [list(span) for span in self.spans]
        return line
