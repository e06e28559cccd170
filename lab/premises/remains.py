"""What of a lab is still on the machine: the check at the end of a teardown."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cgroups import hierarchy
from lab.premises.record import cgroup_of, interface_of, load
from lab.processes import marked

if TYPE_CHECKING:
    from collections.abc import Iterator


def remains(folder: Path, *, patience_s: float = 10.0) -> list[str]:
    """Name every process, namespace, mount, interface and cgroup of the lab that is there after `patience_s`.

    Rules and all other interfaces and mounts live in the lab's namespaces, so they are gone with those. The
    kernel takes namespaces and what is in them away a moment after the last process ended: hence the wait.
    """
    deadline = time.monotonic() + patience_s
    while (left := list(_remains(folder))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _remains(folder: Path) -> Iterator[str]:
    yield from (f"process {pid}" for pid in marked(folder))
    record = load(folder)
    if record:
        yield from (
            f"process {each.pid}, in the lab's namespaces" for each in record.inhabitants if each.alive
        )
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = Path(line.split()[4].replace("\\040", " "))
        if point.is_relative_to(folder):
            yield f"mount {point}"
    if Path("/sys/class/net", interface_of(folder)).exists():
        yield f"interface {interface_of(folder)}"
    if (group := hierarchy() / cgroup_of(folder)).exists():
        yield f"cgroup {group}"
