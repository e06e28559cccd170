"""The namespaces of the premises: those of the hosts and their router, and a network outside the router."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.premises.record import PremisesRecord
    from lab.record import Record

WAN = "wan"
"""The namespace outside the router, outside the premises."""


@dataclass(frozen=True, slots=True)
class PremisesNamespaces(namespaces.Namespaces):
    """Mount, PID and router network namespaces, identified by the process that holds them."""

    def run_outside(self, command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> str:
        """Run a short command in the network outside the router; return its output."""
        return self.run(["ip", "netns", "exec", WAN, *command], stdin=stdin, timeout_s=timeout_s)

    @property
    def wan_network(self) -> Path:
        """The network outside the router, as a file for `nsenter --net=`."""
        return Path(f"/proc/{self.keeper}/root/run/netns/{WAN}")

    @property
    def other_networks(self) -> list[Path]:
        """The network outside the router."""
        return [self.wan_network]


def create(record: PremisesRecord) -> PremisesNamespaces:
    """Create the namespaces. Raises LabError if the machine does not allow it."""
    made = namespaces.create(record)
    # Hosts see the same cgroups on any machine.
    made.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"])
    return PremisesNamespaces(made.keeper, made.side)


def existing(record: Record | None) -> PremisesNamespaces | None:
    """Return the recorded namespaces, if they are still held."""
    found = namespaces.existing(record)
    return PremisesNamespaces(found.keeper, found.side) if found else None
