"""Files on this machine that settings refer to."""

from __future__ import annotations

from pathlib import Path

from components.errors import StackError


def read_local(stack: str, key: str, path: str) -> str:
    """Return the text of a file on this machine that a setting refers to.

    Raises:
        StackError: the file does not exist, or is not a text file.

    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StackError(f"stacks/Pulumi.{stack}.yaml: {key}: {path}: {reason}") from None
