"""What git says of the working tree."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from previews import PreviewError

if TYPE_CHECKING:
    from pathlib import Path


def git(root: Path, *arguments: str) -> str:
    """Return what a command says. Raises PreviewError with git's own words."""
    done = subprocess.run(  # noqa: S603
        ["git", "--no-optional-locks", "-C", str(root), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[0].removeprefix("fatal: ")
        raise PreviewError(f"git cannot {arguments[0]}: {reason}", remedy="fetch what is missing")
    return done.stdout.strip()
