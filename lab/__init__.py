"""The lab: a customer's premises on one Linux machine, real down to the kernel, gone by one command.

Standard library only, like `engine` and `controller`: it runs before anything is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import engine  # noqa: F401 refuses a Python that is too old, before anything else is read
from engine.cache import cache_folder


class LabError(Exception):
    """The lab cannot do what was asked; one line that names what is wrong and the remedy."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        """Join both parts into the one line that the user sees."""
        super().__init__(f"{what}; {remedy}" if remedy else what)


def state_folder() -> Path:
    """Say where the running lab is written down: `$LAB_STATE`, or `.state/lab` in the working tree."""
    named = os.environ.get("LAB_STATE")
    return Path(named).resolve() if named else Path(__file__).resolve().parent.parent / ".state" / "lab"


def lab_cache() -> Path:
    """Say where what is slow to make is kept: beside the engine, in the user's cache of this project."""
    return cache_folder().parent / "lab"
