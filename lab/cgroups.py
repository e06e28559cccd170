"""One cgroup (version 2) for a lab, with one below it for each host.

Where the machine runs on version 1 or on both, the unified hierarchy beside them is used; its groups then
tell processes apart but have no controllers, so memory limits inside a host are without effect.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from lab import LabError


def hierarchy() -> Path:
    """Return where version 2 is mounted. Raises LabError where it is not."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return Path(before.split()[4])
    raise LabError(
        "this machine has no cgroup version 2 mounted",
        remedy="mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def make(name: str) -> None:
    """Make a group below the root, and hand the controllers there are on to those below it."""
    group = hierarchy() / name
    group.mkdir(exist_ok=True)
    for controller in (group / "cgroup.controllers").read_text(encoding="ascii").split():
        with contextlib.suppress(OSError):  # some controllers (cpu with real-time tasks) may refuse
            (group / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def populated(name: str) -> bool:
    """Say whether any process lives in the group or below it."""
    try:
        return "populated 1" in (hierarchy() / name / "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return False


def kill(name: str) -> None:
    """End every process in the group and below it, at once."""
    group = hierarchy() / name
    with contextlib.suppress(FileNotFoundError):
        (group / "cgroup.kill").write_text("1", encoding="ascii")


def remove(name: str, *, patience_s: float = 10.0) -> bool:
    """Remove the group and those below it once they are empty; False if that took too long."""
    group = hierarchy() / name
    deadline = time.monotonic() + patience_s
    while group.exists():
        # The walk is bottom up; a group whose last process is still on its way out refuses for a moment.
        for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                each.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
        if time.monotonic() > deadline:
            return not group.exists()
        time.sleep(0.02)
    return True
