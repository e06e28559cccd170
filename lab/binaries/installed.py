"""Finds a group's programs on PATH, if all of them are in one folder and recent enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.console import say

if TYPE_CHECKING:
    from lab.binaries.groups import Group


def on_path(group: Group) -> Path | None:
    """Return the folder on PATH; None if a program is missing, too old, or of another major release."""
    found = shutil.which(group.programs[0])
    if not group.minimum or found is None:
        return None
    folder = Path(found).parent
    if any(not shutil.which(program, path=str(folder)) for program in group.programs):
        return None
    release = release_of(Path(found))
    oldest = ".".join(map(str, group.minimum))
    if release < group.minimum or release[:1] > tuple(map(int, group.version.split(".")[:1])):
        said = ".".join(map(str, release)) or "of unknown version"
        say(f"lab: {found} is {said}: not used, {oldest} or newer is required")
        return None
    return folder


def release_of(program: Path) -> tuple[int, ...]:
    """Return a program's release; empty if unknown. helm has no `--version`."""
    for question in ("--version", "version"):
        try:
            answer = subprocess.run(  # noqa: S603 the user's own program
                [program, question], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        if answer.returncode == 0 and (told := re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", answer.stdout)):
            return tuple(map(int, told.groups()))
    return ()
