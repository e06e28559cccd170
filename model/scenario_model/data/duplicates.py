"""Text that two sides of a split have in common."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scenario_model.data.documents import Document

_PARAGRAPH_CHARACTERS = 40  # shorter ones (headings, "See also:") may repeat
_WORDS = 8
_NEAR = 0.5


def first_time(documents: Iterable[Document], seen: set[bytes]) -> list[Document]:
    """Drop every paragraph that is in `seen`, then every document without a long one left."""
    kept = []
    for document in documents:
        paragraphs, new = [], False
        for paragraph in re.split(r"\n\s*\n", document.text):
            words = " ".join(paragraph.split())
            key = hashlib.blake2b(words.encode(), digest_size=16).digest()
            if len(words) < _PARAGRAPH_CHARACTERS:
                paragraphs.append(paragraph)
            elif key not in seen:
                seen.add(key)
                paragraphs.append(paragraph)
                new = True
        if new:
            kept.append(dataclasses.replace(document, text="\n\n".join(paragraphs)))
    return kept


def near_duplicates(held_out: Sequence[Document], training: Iterable[Document]) -> int:
    """Count the held-out documents of which training has at least half, by runs of eight words.

    Only parts that are learnt count. The runs of the held-out side alone are kept in memory.
    """
    runs = [_runs(document.learnt) for document in held_out]
    wanted = set().union(*runs)
    seen = {run for document in training for run in _runs(document.learnt) if run in wanted}
    return sum(bool(own) and len(own & seen) >= _NEAR * len(own) for own in runs)


def _runs(text: str) -> set[int]:
    words = text.lower().split()
    return {hash(tuple(words[at : at + _WORDS])) for at in range(len(words) - _WORDS + 1)}
