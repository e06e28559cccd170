"""The one way in which the lab runs other programs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""A killed run leaves no half-done command behind: the kernel ends it with its parent."""


def run(command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0, remedy: str = "") -> str:
    """Run a short command to its end and return its standard output.

    Raises LabError with the program's own last words when it fails, or when it takes longer than `timeout_s`.
    """
    try:
        done = subprocess.run(  # noqa: S603 fixed programs; arguments are a list
            [*_WITH_US, *command], input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"`{_told(command)}` did not end within {timeout_s:.0f} s", remedy=remedy) from None
    except FileNotFoundError:
        raise LabError("setpriv is not on PATH", remedy="install util-linux (make lab-deps)") from None
    if done.returncode:
        words = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LabError(f"`{_told(command)}`: {' | '.join(words[-3:]) or done.returncode}", remedy=remedy)
    return done.stdout


def succeeds(command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> bool:
    """Run a short command and say whether it ended well; for what may rightly fail."""
    try:
        run(command, stdin=stdin, timeout_s=timeout_s)
    except LabError:
        return False
    return True


def _told(command: Sequence[str]) -> str:
    line = " ".join(command)
    return line if len(line) <= 100 else f"{line[:97]}..."
