"""Removes one side of a lab, whatever a killed run left of it, and checks that it is gone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab import LabError, cgroups
from lab.commands import succeeds
from lab.processes import Process, marked
from lab.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.side import Side


def anything_of(side: Side) -> bool:
    """Whether there is anything to tear down."""
    return side.home.exists() or bool(remains(side, timeout_s=0))


def take_away(record: Record | None, side: Side) -> None:
    """Kill all processes, remove cgroups, interface and files, and check. `record` lists the processes.

    Raises LabError naming what is left.
    """
    _end_processes(record, side)
    cgroups.kill(side.cgroup)
    cgroups.remove(side.cgroup)
    remove_interface(side.interface)
    if left := remains(side):
        raise LabError(
            f"left behind: {', '.join(left)}", remedy="end or remove these, and run make lab-down again"
        )
    # The record is removed last: if this run is killed, the next one still has it.
    for path in side.home.iterdir() if side.home.is_dir() else ():
        if record is None or path != record.file:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(side.home, ignore_errors=True)
    if side.home.exists():
        raise LabError(f"left behind: {side.home}", remedy="run make lab-down again")


def remove_interface(name: str) -> None:
    """Remove this machine's interface to a lab, if it exists; its other end goes with it."""
    if Path("/sys/class/net", name).exists():
        succeeds(["ip", "link", "delete", name])


def remains(side: Side, *, timeout_s: float = 10.0) -> list[str]:
    """List every process, namespace, mount, interface and cgroup of it that remains after `timeout_s`.

    Rules and all other interfaces and mounts are in the side's namespaces, so they are gone with those. The
    kernel removes namespaces and their content a moment after the last process ended: hence the wait.
    """
    deadline = time.monotonic() + timeout_s
    while (left := list(_remains(side))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _remains(side: Side) -> Iterator[str]:
    yield from (f"process {pid}" for pid in marked(side.home))
    record = Record.load(side)
    if record:
        yield from (
            f"process {each.pid}, in the lab's namespaces" for each in record.inhabitants if each.alive
        )
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = Path(line.split()[4].replace("\\040", " "))
        if point.is_relative_to(side.home):
            yield f"mount {point}"
    if Path("/sys/class/net", side.interface).exists():
        yield f"interface {side.interface}"
    yield from (f"cgroup {group}" for group in cgroups.remains(side.cgroup))


def _end_processes(record: Record | None, side: Side) -> None:
    """Kill the keeper, and with it everything in its namespaces; then processes with the side's mark."""
    known = [record.keeper, record.holder] if record else []
    for process in (*known, *map(Process.of, marked(side.home))):
        if process and not process.kill():
            raise LabError(f"process {process.pid} does not exit", remedy="run make lab-down again")
