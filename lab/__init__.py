"""The lab: a customer's premises on one Linux machine, real down to the kernel, gone by one command.

Standard library only, like `bootstrap` and `cli`: it runs before anything is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

from bootstrap import ToolError
from bootstrap.cache import cache_folder


class LabError(ToolError):
    """The lab cannot do what was asked."""


def state_folder() -> Path:
    """Say where the running lab is written down: `$LAB_STATE`, or `.state/lab` in the working tree."""
    named = os.environ.get("LAB_STATE")
    return Path(named).resolve() if named else Path(__file__).resolve().parent.parent / ".state" / "lab"


def lab_cache() -> Path:
    """Say where what is slow to make is kept: in the user's cache of this project."""
    return cache_folder() / "lab"
