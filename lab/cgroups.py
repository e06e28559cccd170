"""One cgroup for each side of a lab, with those of its hosts or programs below it.

Version 2 groups track and kill processes, on any machine. If the machine has its controllers on version 1,
the version 2 group has none: limits inside a host then have no effect, and programs that need controllers (a
kubelet) get groups of the same name in each version 1 hierarchy as well.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from lab import LabError


def hierarchy() -> Path:
    """Return where version 2 is mounted. Raises LabError if it is not."""
    for path, version in _mounted().items():
        if version == "cgroup2":
            return path
    raise LabError(
        "cgroup version 2 is not mounted",
        remedy="mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def hierarchies() -> list[Path]:
    """Return where each hierarchy is mounted: version 2, and those of version 1 if any."""
    return list(_mounted())


def _mounted() -> dict[Path, str]:
    """Yield mount point and type of each hierarchy, once, and only if its root is visible."""
    found: dict[str, tuple[Path, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, (device, root, point) = after.split()[0], before.split()[2:5]
        if kind in {"cgroup", "cgroup2"} and root == "/":
            found.setdefault(device, (Path(point), kind))
    return dict(found.values())


def make(name: str, *, in_all: bool = False) -> None:
    """Create a group below the root, and delegate the available controllers to its children.

    `in_all` creates it in the version 1 hierarchies too.
    """
    for each in hierarchies() if in_all else [hierarchy()]:
        group = each / name
        group.mkdir(exist_ok=True)
        if each == hierarchy():
            _hand_on(group)
        elif (group / "cpuset.cpus").exists():  # no process may enter a cpuset without processors
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((each / file).read_text(encoding="ascii"), encoding="ascii")
            (group / "cgroup.clone_children").write_text("1", encoding="ascii")


def _hand_on(group: Path) -> None:
    for controller in (group / "cgroup.controllers").read_text(encoding="ascii").split():
        with contextlib.suppress(OSError):  # some controllers (cpu with real-time tasks) may refuse
            (group / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def processes(name: str) -> list[int]:
    """Return the PIDs in the group itself, not in its children."""
    try:
        return [int(pid) for pid in (hierarchy() / name / "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError:
        return []


def populated(name: str) -> bool:
    """Whether any process is in the group or below it."""
    try:
        return "populated 1" in (hierarchy() / name / "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return False


def kill(name: str) -> None:
    """Kill every process in the group and below it."""
    group = hierarchy() / name
    with contextlib.suppress(FileNotFoundError):
        (group / "cgroup.kill").write_text("1", encoding="ascii")


def remains(name: str) -> list[Path]:
    """List the existing groups of this name."""
    return [each / name for each in hierarchies() if (each / name).exists()]


def remove(name: str, *, timeout_s: float = 10.0) -> bool:
    """Remove the groups of this name, and below, once they are empty; False if that took too long."""
    deadline = time.monotonic() + timeout_s
    while groups := remains(name):
        for group in groups:
            # Bottom up; a group whose last process is still exiting cannot be removed yet.
            for each, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(each).rmdir()
        if time.monotonic() > deadline:
            return not remains(name)
        time.sleep(0.02)
    return True
