"""A killed `pulumi` leaves no process that keeps changing hosts: each one ends with its parent."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from functools import cache
from pathlib import Path

_SECONDS_BETWEEN_LOOKS = 0.5


@cache
def end_with_engine() -> None:
    """End this provider process soon after the engine that started it is gone.

    Pulumi itself ends its providers, but not if it is killed. Called when a provider is first used, while the
    engine is certainly alive. The engine starts a shell, and the shell the provider: both ancestors are
    watched.
    """
    parent = os.getppid()
    generations = (parent, _parent_of(parent))

    def watch() -> None:
        while (os.getppid(), _parent_of(parent)) == generations:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def abandoned() -> bool:
    """Whether the writing end of standard input is closed: the process that held it is gone."""
    return bool(select.select([0], [], [], 0)[0])


def end_descendants() -> None:
    """Kill all descendants of this process: Ansible tasks leave its process group."""
    while family := _descendants(os.getpid()):
        for process in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def _descendants(ancestor: int) -> list[int]:
    """Return the live descendants of a process, parents before children."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (parent := _parent_of(int(entry.name))):
            below.setdefault(parent, []).append(int(entry.name))
    found = [ancestor]
    for process in found:
        found += below.get(process, [])
    return found[1:]


def _parent_of(pid: int) -> int:
    """Return the parent of a process; 0 if it does not exist or is a zombie."""
    try:
        status = Path("/proc", str(pid), "stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    # The second field is the command in brackets, and may contain anything.
    state, parent = status.rpartition(")")[2].split()[:2]
    return 0 if state in {"Z", "X"} else int(parent)
