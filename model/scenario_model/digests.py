"""SHA-256 digests of files, directories, JSON values and this package's own source."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from scenario_model.errors import InputError

_PREFIX = "sha256:"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes as `sha256:<64 hex>`."""
    with path.open("rb") as stream:
        return _PREFIX + hashlib.file_digest(stream, "sha256").hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces, no NaN) as `sha256:<64 hex>`."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _PREFIX + hashlib.sha256(canonical.encode()).hexdigest()


def tree_digest(directory: Path, *, leave_out: frozenset[str] = frozenset()) -> str:
    """SHA-256 over the sorted (relative path, file SHA-256) of all files below, as `sha256:<64 hex>`.

    `leave_out`: relative POSIX paths to exclude. Raises InputError for a symlink or special file, which have
    no content of their own, and for a missing directory.
    """
    if not directory.is_dir():
        raise InputError("no such directory", where=str(directory))
    entries = {}
    for path in directory.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(
                "is a symlink or special file", where=str(path), remedy="replace it with a regular file"
            )
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name not in leave_out:
            entries[name] = file_digest(path)
    return json_digest(entries)


def package_digest(*rooms: str) -> str:
    """SHA-256 of this package's source: top-level modules and the sub-packages `rooms` (all if none).

    It is part of a training run's name, because different code may train differently.
    """
    root = Path(__file__).parent
    folders = (
        [root / room for room in rooms] if rooms else [path.parent for path in root.glob("*/__init__.py")]
    )
    paths = [*root.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return json_digest({path.relative_to(root).as_posix(): file_digest(path) for path in paths})
