"""A few texts to train on: a tiny model learns them in seconds, and each is a little different."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHAPTERS = 24


def chapter(number: int) -> str:
    """One text."""
    return f"Chapter {number}. " + "The quick brown fox jumps over the lazy dog. " * 12


ALL = tuple(chapter(number) for number in range(CHAPTERS))


def write_chapters(folder: Path) -> Path:
    """Write each into a file of its own, in a folder that is made."""
    folder.mkdir(parents=True)
    for number, text in enumerate(ALL):
        (folder / f"{number:02}.txt").write_text(text)
    return folder
