"""A running Kubernetes cluster: the lab's own, or an external one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lab import LabError, cgroups
from lab.binaries import programs
from lab.kubernetes.kubectl import Kubectl
from lab.kubernetes.node import SOCKET

if TYPE_CHECKING:
    from lab.kubernetes.layout import Layout, Program
    from lab.namespaces import Namespaces
    from lab.premises.addresses import Addresses


_IMPORT_S = 600.0
_SEEN_S = 5.0
"""Timeout until a started program is visible; one that ends earlier never is."""


@cache
def binaries(group: str) -> Path:
    """Return the folder of a group of programs, built and logged once."""
    return programs(group)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Access to the cluster for a person, a test or a stack."""

    kubectl: Kubectl
    own: OwnCluster | None = None
    """None for an external cluster: the lab then runs none of its parts."""

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig for kubectl and Pulumi."""
        return self.kubectl.kubeconfig


@dataclass(frozen=True, slots=True)
class OwnCluster:
    """The lab's own cluster from the inside: its namespaces and programs."""

    layout: Layout
    space: Namespaces
    addresses: Addresses

    @property
    def kubectl(self) -> Kubectl:
        """kubectl, as its administrator."""
        return Kubectl(self.layout.kubectl, self.layout.kubeconfig)

    def ctr(self, *arguments: str) -> str:
        """Run containerd's own command, about the images and containers of pods."""
        command = [str(binaries("containerd") / "ctr"), f"--address={SOCKET}", "--namespace=k8s.io"]
        return self.space.run([*command, *arguments], timeout_s=_IMPORT_S)

    def load(self, archive: Path) -> None:
        """Import the images of a `docker save` archive into the node. Raises LabError."""
        self.ctr("image", "import", str(archive))

    def start(self, program: Program) -> None:
        """Start a program in the cloud, in its own cgroups."""
        groups = [each / self._cgroup(program) for each in cgroups.hierarchies()]
        command = [*program.within, str(binaries(program.group) / program.name), *program.arguments]
        self.space.spawn(command, cgroups=groups, log=self.layout.log(program.title))
        deadline = time.monotonic() + _SEEN_S
        while self.process(program) is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def process(self, program: Program) -> int | None:
        """Return the PID of its process; None if it does not run."""
        for pid in cgroups.processes(self._cgroup(program)):
            try:
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if name == program.name[:15]:  # as much of it as the kernel keeps
                return pid
        return None

    def cgroup(self, node: str) -> str:
        """Return the cgroup of a node's programs and pods."""
        return f"{self.layout.side.cgroup}/{node}" if node else self.layout.side.cgroup

    def require_alive(self, program: Program) -> None:
        """Raise LabError with the program's last output if it has ended."""
        if self.process(program) is None:
            raise LabError(f"{program.title} ended: {self.last_words(program)}", remedy="run make lab again")

    def last_words(self, program: Program) -> str:
        """Return the last lines of a program's log."""
        log = self.layout.log(program.title)
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return " | ".join(line.strip()[:300] for line in text.splitlines()[-3:]) or "no output"

    def _cgroup(self, program: Program) -> str:
        return f"{self.cgroup(program.node)}/{program.name}"
