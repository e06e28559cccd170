"""Processes that tests find and end: any of them may end by itself between two looks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def processes_naming(folder: Path) -> list[psutil.Process]:
    """Return the live processes that name a folder in their command line."""
    found = psutil.process_iter(["cmdline", "status"])
    return [
        each
        for each in found
        if each.info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words_of(each))
    ]


def words_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process as it was found; none where it had ended already."""
    words: list[str] = process.info["cmdline"] or []
    return words


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; one that has ended meanwhile is what was wanted."""
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
