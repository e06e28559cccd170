"""Paths of the lab's cluster, and the description of its programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lab.side import Side


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one cluster, all below the home of its side."""

    side: Side

    @property
    def home(self) -> Path:
        """Their common folder."""
        return self.side.home

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig for people."""
        return self.home / "kubeconfig"

    def credentials(self, name: str) -> Path:
        """The kubeconfig of one of the cluster's own programs."""
        return self.home / "config" / f"{name}.kubeconfig"

    def certificate(self, name: str) -> Path:
        """A certificate."""
        return self.home / "pki" / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key of a certificate, or the one that signs tokens."""
        return self.home / "pki" / f"{name}.key"

    def config(self, name: str) -> Path:
        """The configuration of a program."""
        return self.home / "config" / name

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version for people, whoever owns the cache."""
        return self.home / "bin" / "kubectl"

    def log(self, name: str) -> Path:
        """A program's log."""
        return self.home / "logs" / f"{name}.log"

    def data(self, name: str) -> Path:
        """A program's data."""
        return self.home / "data" / name

    def make_folders(self) -> None:
        """Create the folders. Keys are readable by root only."""
        for name in ("bin", "config", "logs", "data", "pki"):
            (self.home / name).mkdir(mode=0o700 if name in {"pki", "config"} else 0o755)


@dataclass(frozen=True, slots=True)
class Program:
    """A daemon of the cluster.

    Attributes:
        name: its file.
        group: of programs, in `lab.binaries`.
        arguments: its arguments.
        node: the node of its own that it runs for; empty for the control plane and the first node.
        within: a command that starts it elsewhere, such as nsenter.

    """

    name: str
    group: str
    arguments: tuple[str, ...]
    node: str = ""
    within: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name among all of the cluster."""
        return f"{self.node}-{self.name}" if self.node else self.name
