"""`make lab-down`: remove the lab from this machine, and check that nothing is left."""

from __future__ import annotations

import contextlib
import sys

from bootstrap.console import run, say
from lab import LabError, lab_cache, lock, state_folder
from lab.compose import tear_down
from lab.machine import require


def down() -> None:
    """Tear the lab down, complete or partial."""
    folder = state_folder()
    if folder.exists():
        require()
        with lock.exclusive(folder):
            there = tear_down(folder)
            folder.rmdir()
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
        if there:
            say("the lab is down (checked): no process, namespace, mount, interface, cgroup or file is left")
            say(f"Kept: {lab_cache()}, for a quick next start; make clean removes that too.")
            return
    say("the lab is not up: nothing to remove")


def main() -> None:
    """`python3 -m lab.down`."""
    try:
        down()
    except LabError as error:
        sys.exit(f"make lab-down: {error}")
    except KeyboardInterrupt:
        sys.exit("make lab-down: interrupted; run it again to resume")


if __name__ == "__main__":
    run(main)
