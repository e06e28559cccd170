"""The current user's processes, for root everybody's, from /proc: found by what they carry, ended by pid."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its command line, and its environment at the start of the process."""

    pid: int
    parent: int
    command: tuple[str, ...]
    environment: dict[str, str]


def own_processes() -> Iterator[Process]:
    """Yield the running processes of this user, except this one and its ancestors; zombies are excluded.

    Root sees all users' processes, but none inside containers.
    """
    spared = set(_ancestors(os.getpid()))
    here = Path("/proc/self/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        try:
            if os.getuid() not in {0, entry.stat().st_uid} or (entry / "ns/pid").readlink() != here:
                continue
            command = _fields(entry / "cmdline")
            environment = _fields(entry / "environ")
            parent = _parent(int(entry.name))
        except OSError:  # it exited meanwhile, or is not readable
            continue
        if command:
            pairs = (field.partition("=") for field in environment)
            yield Process(int(entry.name), parent, command, {name: value for name, _, value in pairs})


def end(find: Callable[[], list[Process]], *, timeout: float) -> bool:
    """Send SIGTERM to what `find` returns, and SIGKILL to what remains after `timeout` seconds.

    Returns whether anything was found. Processes started by a dying process are included.
    """
    found = find()
    if not found:
        return False
    _signal(found, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while (remaining := find()) and time.monotonic() < deadline:
        time.sleep(0.1)
    while remaining:
        _signal(remaining, signal.SIGKILL)
        time.sleep(0.1)
        remaining = find()
    return True


def _signal(processes: list[Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:  # already gone, as intended
            continue


def _fields(path: Path) -> tuple[str, ...]:
    return tuple(os.fsdecode(field) for field in path.read_bytes().split(b"\0") if field)


def _ancestors(pid: int) -> Iterator[int]:
    while pid:
        yield pid
        pid = _parent(pid)


def _parent(pid: int) -> int:
    # The second field, the name, may contain spaces and parentheses: count after its last parenthesis.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
