"""An engine that is killed when an update has come so far: a time would be another moment elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tests.processes import kill_all

if TYPE_CHECKING:
    import subprocess


_EVENTS = (" creating (", " created (", " updating (", " updated (", ": step ")


def killed_after(events: int, command: subprocess.Popen[str]) -> str:
    """Kill the `pulumi up` that a command is, or has started, after so many lines on resources; read the
    output to its end. Return the last such line. Fails if the update ended first: nothing would have been killed."""
    assert command.stdout
    for line in command.stdout:
        if any(told in line for told in _EVENTS):
            events -= 1
        if events == 0:
            engines = _engines(command.pid)
            kill_all(engines)
            command.stdout.read()
            assert engines, f"the update had ended by {line.strip()!r}"
            return line.strip()
    raise AssertionError(f"the update ended {events} lines too soon to be killed")


def _engines(pid: int) -> list[psutil.Process]:
    """The one engine below a process; none if it has ended, for what is read of it may lie behind what it did."""
    try:
        above = psutil.Process(pid)
        found = [each for each in (above, *above.children(recursive=True)) if _is_up(each)]
    except psutil.NoSuchProcess:
        return []
    assert len(found) <= 1
    return found


def _is_up(process: psutil.Process) -> bool:
    try:
        return process.name() == "pulumi" and "up" in process.cmdline()
    except psutil.NoSuchProcess:
        return False
