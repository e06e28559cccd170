"""An engine that is killed when an update has come so far: a time would be another moment elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import subprocess


def killed_after(events: int, command: subprocess.Popen[str]) -> str:
    """Kill the `pulumi up` that a command is, or has started, after so many lines on resources; read the
    output to its end. Return the last such line, "" if there were not that many."""
    assert command.stdout
    for line in command.stdout:
        if " creating (" in line or " created (" in line or " updating (" in line or ": step " in line:
            events -= 1
        if events == 0:
            _engine(command.pid).kill()
            command.stdout.read()
            return line.strip()
    return ""


def _engine(pid: int) -> psutil.Process:
    above = psutil.Process(pid)
    (found,) = [each for each in (above, *above.children(recursive=True)) if _is_up(each)]
    return found


def _is_up(process: psutil.Process) -> bool:
    try:
        return process.name() == "pulumi" and "up" in process.cmdline()
    except psutil.NoSuchProcess:
        return False
