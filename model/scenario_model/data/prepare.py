"""Prepares training and held-out documents, without shared text, from the `data` settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from scenario_model.data.chat import read_conversations, render_all
from scenario_model.data.documents import family_of
from scenario_model.data.duplicates import first_time, near_duplicates
from scenario_model.data.settings import FEWEST_HELD_OUT, Chat, PlainText, PythonReference
from scenario_model.data.text import read_python_reference, read_text
from scenario_model.digests import json_digest
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scenario_model.data.documents import Document

_KEY = b"scenario-model held-out split"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Training and held-out documents, counts of what was dropped, notes for a person, and their digest."""

    training: tuple[Document, ...]
    held_out: tuple[Document, ...]
    repeated_documents: int
    repeated_characters: int
    near_duplicates: int
    notes: tuple[str, ...]
    digest: str

    def summary(self) -> dict[str, Any]:
        """Counts for people and for run.json."""
        return {
            "digest": self.digest,
            "training_documents": len(self.training),
            "held_out_documents": len(self.held_out),
            "repeated_documents": self.repeated_documents,
            "repeated_characters": self.repeated_characters,
            "near_duplicates": self.near_duplicates,
            "notes": list(self.notes),
        }

    def held_out_lines(self) -> str:
        """The content of held_out.jsonl."""
        return "".join(json.dumps(d.to_json(), ensure_ascii=False) + "\n" for d in self.held_out)


@dataclass(frozen=True, slots=True)
class _Read:
    """Documents as read; `given` are those of the user's own held-out file, None without one."""

    documents: list[Document]
    given: list[Document] | None = None
    notes: tuple[str, ...] = ()


def prepare(settings: PythonReference | Chat | PlainText, tokenizer: Callable[[], Any]) -> Prepared:
    """Read, split and deduplicate; only chat needs the tokenizer.

    A document is held out by a keyed hash of its family, so that it stays on its side when others come or go.
    Paragraphs are deduplicated: held-out ones are removed from training, so that the gate cannot be passed by
    having seen the test (Python's topics quote each other: without this, 87 % of the held-out text was in
    training).

    Raises InputError for bad data, or too little to train and to hold out.
    """
    read = _read(settings, tokenizer)
    where = str(getattr(settings, "path", settings.kind))
    unique = _unique(read.documents)
    if read.given is None:
        held_out, training = _split(unique, settings.held_out, where)
    else:
        held_out = _unique(read.given)
        kin, texts = {family_of(d) for d in held_out}, {d.text for d in held_out}
        training = [d for d in unique if family_of(d) not in kin and d.text not in texts]
    repeated = len(read.documents) + len(read.given or ()) - len(held_out) - len(training)
    before = _characters(held_out, training)
    if not isinstance(settings, Chat):
        seen: set[bytes] = set()
        held_out, training = first_time(held_out, seen), first_time(training, seen)
    if not held_out or not training:
        raise InputError(
            "nothing is left after removing repetitions", where=where, remedy="add other documents"
        )
    digest = json_digest([[d.to_json() for d in side] for side in (training, held_out)])
    return Prepared(
        training=tuple(training),
        held_out=tuple(held_out),
        repeated_documents=repeated,
        repeated_characters=before - _characters(held_out, training),
        near_duplicates=near_duplicates(held_out, training),
        notes=read.notes,
        digest=digest,
    )


def _read(settings: PythonReference | Chat | PlainText, tokenizer: Callable[[], Any]) -> _Read:
    if isinstance(settings, PythonReference):
        return _Read(read_python_reference())
    path, own = settings.path.expanduser(), settings.held_out_path and settings.held_out_path.expanduser()
    if isinstance(settings, PlainText):
        documents, notes = read_text(path)
        return _Read(documents, None if own is None else read_text(own)[0], notes)
    conversations, given = read_conversations(path), [] if own is None else read_conversations(own)
    # Together: a conversation may be of a family with one in the other file.
    made, notes = render_all([*conversations, *given], tokenizer(), settings.date)
    mine, theirs = made[: len(conversations)], made[len(conversations) :]
    return _Read([*chain(*mine)], None if own is None else [*chain(*theirs)], notes)


def _unique(documents: Sequence[Document]) -> list[Document]:
    by_text = {document.text: document for document in reversed(documents)}
    return sorted(by_text.values(), key=lambda document: document.id)


def _split(documents: list[Document], share: float, where: str) -> tuple[list[Document], list[Document]]:
    """(held out, training), whole families on either side."""
    places = {name: _place(name) for name in map(family_of, documents)}
    if len(places) < 2:
        what = f"too few distinct documents ({len(documents)} that share no turns: {len(places)})"
        remedy = "add documents, or give your own held-out ones as data.held_out_path"
        raise InputError(what, where=where, remedy=remedy)
    ordered = sorted(places, key=places.__getitem__)
    count = sum(place < share for place in places.values())
    chosen = set(ordered[: min(max(count, 1), len(ordered) - 1)])
    return (
        [d for d in documents if family_of(d) in chosen],
        [d for d in documents if family_of(d) not in chosen],
    )


def _place(name: str) -> float:
    """A fixed position in [0, 1) for a family."""
    digest = hashlib.blake2b(name.encode(), key=_KEY, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _characters(*sides: Sequence[Document]) -> int:
    return sum(len(document.text) for side in sides for document in side)


def insist_on_a_verdict(prepared: Prepared, settings: PythonReference | Chat | PlainText) -> None:
    """Raise InputError if too little is held out for the gate: it is known before training, so say it then."""
    found = len({family_of(document) for document in prepared.held_out})
    if found >= FEWEST_HELD_OUT:
        return
    own = getattr(settings, "held_out_path", None)
    remedies = ["add documents"]
    if own is None:
        remedies.append(f"raise data.held_out (now {settings.held_out:g})")
    if own is None and not isinstance(settings, PythonReference):
        remedies.append("give your own as data.held_out_path")
    raise InputError(
        f"only {found} documents are held out, and the gate needs {FEWEST_HELD_OUT} for a verdict",
        where=str(own or getattr(settings, "path", settings.kind)),
        remedy=", or ".join(remedies),
    )
