"""Read plain text: a folder of files, or Python's own language reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_model.data.documents import Document
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIXES = (".txt", ".md", ".rst")


def read_folder(root: Path) -> list[Document]:
    """Every non-blank .txt, .md and .rst file below `root`, sorted by relative path, which is its id.

    Raises InputError if there is none, or one is not UTF-8 (with file and line).
    """
    if not root.is_dir():
        raise InputError("no such folder", where=str(root), remedy="give a folder of .txt or .md files")
    paths = sorted(path for path in root.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    documents = [Document(path.relative_to(root).as_posix(), _read(path)) for path in paths]
    documents = [document for document in documents if document.text.strip()]
    if not documents:
        what = f"contains no text ({len(paths)} files ending in {', '.join(_SUFFIXES)})"
        raise InputError(what, where=str(root), remedy="put at least two files with text there")
    return documents


def read_python_reference() -> list[Document]:
    """The topics of `pydoc_data.topics`, sorted by name, their id."""
    from pydoc_data.topics import topics

    return [Document(name, topics[name]) for name in sorted(topics)]


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        remedy = "save the file as UTF-8"
        raise InputError(f"not UTF-8 ({error.reason})", where=f"{path}:{line}", remedy=remedy) from None
