"""The file that tells a server which release to serve, for who changes it while the server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_model.errors import InputError
from scenario_model.release.names import is_id

if TYPE_CHECKING:
    from pathlib import Path


def followed(path: Path) -> str:
    """Return the release, `name@sha256:…`, that the file names. Raises InputError if it names none."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not a text"
        raise InputError(f"names no release yet: {reason}", where=str(path)) from None
    if not is_id(text):
        raise InputError("names no release", where=str(path), remedy="write NAME@sha256:<64 hex digits>")
    return text


def names_another(path: Path | None, release: str) -> bool:
    """Whether there is such a file, and it names a release other than this one."""
    if path is None:
        return False
    try:
        return followed(path) != release
    except InputError:
        # Removed, or being written by hand: no reason to stop serving.
        return False
