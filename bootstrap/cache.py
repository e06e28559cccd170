"""The user's cache folder: results that are slow to build, put in place by a single rename."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_folder() -> Path:
    """Return this project's folder in the user's cache: `$XDG_CACHE_HOME` or `~/.cache`, then its name."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "model-deployment-scenarios"


@contextlib.contextmanager
def workspace(target: Path) -> Iterator[Path]:
    """Return a folder to build the target in; it survives an interruption so that the next run can resume."""
    folder = _unfinished(target)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


def keep(made: Path, target: Path) -> Path:
    """Rename a finished folder to its final name, so whatever has that name is complete.

    Files are flushed to disk before the rename, so that a power cut leaves no zero-filled program.
    """
    for path in made.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    shutil.rmtree(_unfinished(target), ignore_errors=True)
    return target


def _unfinished(target: Path) -> Path:
    return target.with_name(f"{target.name}.unfinished")


@contextlib.contextmanager
def exclusive(lock: Path, what: str) -> Iterator[None]:
    """Let one process at a time do `what`; a second one logs that it waits, and for which process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"waiting for process {file.read().strip() or '?'}, which is {what}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
