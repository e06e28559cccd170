"""Where the files of the lab's cluster lie, and the program it is made of as a line of a table."""

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
        """Where all of them are."""
        return self.side.home

    @property
    def kubeconfig(self) -> Path:
        """What a person's kubectl takes."""
        return self.home / "kubeconfig"

    def credentials(self, name: str) -> Path:
        """The kubeconfig of one of the cluster's own programs."""
        return self.home / "config" / f"{name}.kubeconfig"

    def certificate(self, name: str) -> Path:
        """A certificate."""
        return self.home / "pki" / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key of a certificate, or one that signs tokens."""
        return self.home / "pki" / f"{name}.key"

    def config(self, name: str) -> Path:
        """The configuration of a program."""
        return self.home / "config" / name

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version that a person may run, whoever owns the cache."""
        return self.home / "bin" / "kubectl"

    def log(self, name: str) -> Path:
        """What a program wrote."""
        return self.home / "logs" / f"{name}.log"

    def data(self, name: str) -> Path:
        """What a program keeps."""
        return self.home / "data" / name

    def make_folders(self) -> None:
        """Make the folders that the rest is written into. Keys are readable to root alone."""
        for name in ("bin", "config", "logs", "data", "pki"):
            (self.home / name).mkdir(mode=0o700 if name in {"pki", "config"} else 0o755)


@dataclass(frozen=True, slots=True)
class Program:
    """A lasting program of the cluster: its group in `lab.binaries`, and its arguments."""

    name: str
    group: str
    arguments: tuple[str, ...]
