"""Runs other programs, for the whole lab."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""Wrapper that makes the kernel kill a command with its parent, so a killed run leaves none behind."""


def run(command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0, remedy: str = "") -> str:
    """Run a short command and return its standard output.

    Raises LabError with the program's last output if it fails or takes longer than `timeout_s`.
    """
    try:
        done = subprocess.run(  # noqa: S603 fixed programs; arguments are a list
            [*_WITH_US, *command], input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"`{_told(command)}` timed out after {timeout_s:.0f} s", remedy=remedy) from None
    except FileNotFoundError:
        raise LabError("setpriv is not on PATH", remedy="install util-linux (make lab-deps)") from None
    if done.returncode:
        words = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LabError(f"`{_told(command)}`: {' | '.join(words[-3:]) or done.returncode}", remedy=remedy)
    return done.stdout


def succeeds(command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> bool:
    """Run a short command and return whether it succeeded; for commands that may fail."""
    try:
        run(command, stdin=stdin, timeout_s=timeout_s)
    except LabError:
        return False
    return True


def _told(command: Sequence[str]) -> str:
    line = " ".join(command)
    return line if len(line) <= 100 else f"{line[:97]}..."
