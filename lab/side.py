"""One side of a lab: the premises or the cloud. The names of its resources on this machine derive from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Side:
    """A side by its name, in the lab of a state folder.

    Names derived from the folder need no record: a teardown finds these resources even without one.
    """

    folder: Path
    name: str

    @property
    def home(self) -> Path:
        """The folder of all its files; also the mark of its daemons."""
        return self.folder / self.name

    @property
    def cgroup(self) -> str:
        """Its cgroup, below the root of each hierarchy."""
        return f"scenario-lab-{self._lab}-{self.name}"

    @property
    def interface(self) -> str:
        """The only interface on this machine itself, at most 15 characters."""
        return f"sclab-{self._lab}{self.name[0]}"

    @property
    def _lab(self) -> str:
        """Six characters that distinguish the labs of one machine."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]


def premises_of(folder: Path) -> Side:
    """Return the customer's side of a lab."""
    return Side(folder, "premises")


def cloud_of(folder: Path) -> Side:
    """Return the side of a lab that simulates the public cloud."""
    return Side(folder, "kubernetes")
