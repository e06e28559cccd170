"""Programs of the distribution for hosts that have none: haproxy and the libraries that it is linked with.

Hosts do not install them: they are unpacked below the scenario's own folder, and go with it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from bundle import BundleError
from engine.console import say

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS = ("haproxy",)
_DEPENDS = re.compile(r"^ +Depends: ([a-z0-9][a-z0-9.+-]+)$", re.MULTILINE)
_BASIS = ("libc6",)
"""Every host has its own, which must be as new as this machine's."""


def fetch(target: Path) -> None:
    """Download the packages that apt has for this machine's release; none where there is no apt.

    Raises BundleError where apt finds one of them nowhere.
    """
    if not (shutil.which("apt-get") and shutil.which("apt-cache")):
        say(f"bundle: no apt here, so {', '.join(_PROGRAMS)} stays out; a host that balances needs its own")
        return
    target.mkdir()
    _run(["apt-get", "--quiet", "--quiet", "download", *_with_libraries()], target)


def _with_libraries() -> list[str]:
    """Name the programs' packages and, through all levels, those of libraries."""
    found: list[str] = []
    level = list(_PROGRAMS)
    while level:  # one question for each: apt reads all of its lists for it
        found += level
        needed = dict.fromkeys(_DEPENDS.findall(_run(["apt-cache", "depends", *level])))
        level = [name for name in needed if name.startswith("lib") and name not in (*found, *_BASIS)]
    return found


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no word"]
        raise BundleError(f"{' '.join(command[:4])} …: {words[-1]}", remedy="run apt-get update first")
    return done.stdout
