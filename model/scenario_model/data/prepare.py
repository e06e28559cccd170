"""Prepares training and held-out documents, without shared text, from the `data` settings."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.data.chat import read_chat
from scenario_model.data.settings import Chat, PlainText, PythonReference
from scenario_model.data.text import read_folder, read_python_reference
from scenario_model.digests import json_digest
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scenario_model.data.documents import Document

_KEY = b"scenario-model held-out split"
_PARAGRAPH_CHARACTERS = 40  # shorter ones (headings, "See also:") may repeat


@dataclass(frozen=True, slots=True)
class Prepared:
    """Training and held-out documents, counts of dropped repetitions, and their digest."""

    training: tuple[Document, ...]
    held_out: tuple[Document, ...]
    repeated_documents: int
    repeated_characters: int
    digest: str

    def summary(self) -> dict[str, Any]:
        """Counts for people and for run.json."""
        return {
            "digest": self.digest,
            "training_documents": len(self.training),
            "held_out_documents": len(self.held_out),
            "repeated_documents": self.repeated_documents,
            "repeated_characters": self.repeated_characters,
        }

    def held_out_lines(self) -> str:
        """The content of held_out.jsonl."""
        return "".join(json.dumps(d.to_json(), ensure_ascii=False) + "\n" for d in self.held_out)


def prepare(settings: PythonReference | Chat | PlainText, tokenizer: Callable[[], Any]) -> Prepared:
    """Read, split and deduplicate; only chat needs the tokenizer. Raises InputError for bad data, or too
    little to train and to hold out.

    A document is held out by a keyed hash of its id, so that it stays on its side when others come or go.
    Paragraphs are deduplicated: held-out ones are removed from training, so that the gate cannot be passed by
    having seen the test (Python's topics quote each other: without this, 87 % of the held-out text was in
    training).
    """
    documents = _read(settings, tokenizer)
    unique = {document.text: document for document in reversed(documents)}
    repeated = len(documents) - len(unique)
    where = str(getattr(settings, "path", settings.kind))
    if len(unique) < 2:
        what = f"too few distinct documents ({len(unique)}): one to train on and one to hold out are needed"
        raise InputError(what, where=where, remedy="add documents")
    held_out, training = _split(sorted(unique.values(), key=lambda d: d.id), settings.held_out)
    seen: set[bytes] = set()
    before = sum(len(document.text) for document in (*held_out, *training))
    if not isinstance(settings, Chat):
        held_out, training = _first_time(held_out, seen), _first_time(training, seen)
    if not held_out or not training:
        raise InputError(
            "nothing is left after removing repetitions", where=where, remedy="add other documents"
        )
    after = sum(len(document.text) for document in (*held_out, *training))
    digest = json_digest([[d.to_json() for d in side] for side in (training, held_out)])
    return Prepared(tuple(training), tuple(held_out), repeated, before - after, digest)


def _read(settings: PythonReference | Chat | PlainText, tokenizer: Callable[[], Any]) -> list[Document]:
    if isinstance(settings, Chat):
        return read_chat(settings.path.expanduser(), tokenizer())
    if isinstance(settings, PlainText):
        return read_folder(settings.path.expanduser())
    return read_python_reference()


def _split(documents: list[Document], share: float) -> tuple[list[Document], list[Document]]:
    """(held out, training), neither empty."""
    places = {d.id: _place(d.id) for d in documents}
    ordered = sorted(documents, key=lambda d: places[d.id])
    count = sum(place < share for place in places.values())
    count = min(max(count, 1), len(ordered) - 1)
    held_out = {d.id for d in ordered[:count]}
    return [d for d in documents if d.id in held_out], [d for d in documents if d.id not in held_out]


def _place(name: str) -> float:
    """A fixed position in [0, 1) for a document."""
    digest = hashlib.blake2b(name.encode(), key=_KEY, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _first_time(documents: Iterable[Document], seen: set[bytes]) -> list[Document]:
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
