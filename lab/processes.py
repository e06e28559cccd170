"""Processes by PID and start time, so that a reused PID is never mistaken for ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

MARK = "LAB_OF"
"""Environment variable of every daemon of a lab: the lab's state folder."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its PID, and its start in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the current process with this PID; None if there is none or it is a zombie."""
        try:
            # The second field, the name, may contain spaces and brackets; only what follows the last one is
            # fixed.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in {"Z", "X"} else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether it is still running."""
        return Process.of(self.pid) == self

    def kill(self, *, timeout_s: float = 10.0) -> bool:
        """Kill it; return whether it is gone within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def children(pid: int) -> list[int]:
    """Return the PIDs of a process's children."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(each) for each in text.split()]


def all_pids() -> list[int]:
    """Return the PIDs of all processes visible here."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def marked(folder: Path) -> list[int]:
    """Return the processes with the mark of the lab with this state folder."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and Process.of(pid):
                found.append(pid)
    return found


def boot_id() -> str:
    """Return the boot id: PIDs are meaningless after a restart."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
