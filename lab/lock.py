"""One run at a time on a lab; the lock is the folder itself, so that nothing is left when it goes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from bootstrap.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder, making it if there is none; a second run says that it waits. A killed one lets go."""
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            _wait_for(descriptor)
            if _is_still(folder, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting: another run is at work on this lab")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(folder: Path, descriptor: int) -> bool:
    """Whether the folder is the one that was locked: a run that ended may have removed it meanwhile."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
