"""Files on this machine that settings refer to; in a preview for a pull request they are elsewhere, and unknown."""

from __future__ import annotations

import os
from pathlib import Path

from pulumi.runtime.rpc import UNKNOWN

from components.errors import StackError

_PREVIEW = "SCENARIO_PREVIEW"


def are_elsewhere() -> bool:
    """Whether this is a preview on a machine that does not deploy, such as a pull request's."""
    return os.environ.get(_PREVIEW) == "elsewhere"


def read_local(stack: str, key: str, path: str) -> str:
    """Return the text of a file on this machine that a setting refers to; unknown if it is elsewhere.

    Raises:
        StackError: the file does not exist, or is not a text file.

    """
    if are_elsewhere() and not Path(path).exists():
        return UNKNOWN
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StackError(f"stacks/Pulumi.{stack}.yaml: {key}: {path}: {reason}") from None
