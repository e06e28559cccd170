"""The lab: a customer's premises on one Linux machine, real down to the kernel, removed by one command.

Standard library only, like `bootstrap` and `cli`, as it runs before anything is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

from bootstrap import ToolError
from bootstrap.cache import cache_folder


class LabError(ToolError):
    """A lab command failed."""


def state_folder() -> Path:
    """Return the folder of the running lab's state: `$LAB_STATE`, or `.state/lab` in the working tree."""
    named = os.environ.get("LAB_STATE")
    return Path(named).resolve() if named else Path(__file__).resolve().parent.parent / ".state" / "lab"


def lab_cache() -> Path:
    """Return the lab's folder in the user's cache, for what is slow to build."""
    return cache_folder() / "lab"
