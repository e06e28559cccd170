"""Read plain text: a file, a folder of files, or Python's own language reference."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scenario_model.data.documents import Document
from scenario_model.data.records import read_records
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_WHOLE = (".txt", ".md", ".rst")
_RECORDS = (".jsonl", ".ndjson")


def read_text(root: Path) -> tuple[list[Document], tuple[str, ...]]:
    """Every non-blank document of a file or folder, and a note of the files that were left out.

    A .txt, .md or .rst file is one document, named by its relative path; each {"text": …} line of a .jsonl
    file is one. Hidden files and folders, such as .git, are left out. Raises InputError if there is no text, or
    for what cannot be read, with file and line.
    """
    if not root.exists():
        raise InputError(
            "no such file or folder", where=str(root), remedy="give a folder of .txt or .md files"
        )
    base = root if root.is_dir() else root.parent
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    taken, left = [], Counter[str]()
    for path in files:
        hidden = any(part.startswith(".") for part in path.relative_to(base).parts)
        if hidden or path.suffix.lower() not in (*_WHOLE, *_RECORDS):
            left["hidden" if hidden else path.suffix.lower() or "without suffix"] += 1
        else:
            taken.append(path)
    documents = [each for path in taken for each in _documents(path, path.relative_to(base).as_posix())]
    documents = [document for document in documents if document.text.strip()]
    if not documents:
        what = f"contains no text ({len(taken)} files ending in {', '.join((*_WHOLE, *_RECORDS))})"
        raise InputError(what, where=str(root), remedy="put at least two files with text there")
    return documents, (_note(len(taken), left),) if left else ()


def read_python_reference() -> list[Document]:
    """The topics of `pydoc_data.topics`, sorted by name, their id."""
    from pydoc_data.topics import topics

    return [Document(name, topics[name]) for name in sorted(topics)]


def _note(taken: int, left: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in left.most_common(5))
    return f"{taken} text files are read, {left.total()} other files are not ({kinds})"


def _documents(path: Path, name: str) -> list[Document]:
    if path.suffix.lower() in _WHOLE:
        return [Document(name, _read(path))]
    found = []
    for record, where in read_records(path):
        text = record.get("text")
        if not isinstance(text, str):
            remedy = 'one line looks like {"text": "…"}; conversations are data of kind chat'
            raise InputError("has no 'text'", where=where, remedy=remedy)
        found.append(Document(f"{name}:{where.rpartition(':')[2]}", text.replace("\r\n", "\n")))
    return found


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        remedy = "save the file as UTF-8"
        raise InputError(f"not UTF-8 ({error.reason})", where=f"{path}:{line}", remedy=remedy) from None
