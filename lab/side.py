"""One side of a lab: the premises or the cloud. All names of what it has on this machine follow from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Side:
    """A side by its name, in the lab of a state folder.

    Names that follow from the folder alone need no writing down: a teardown finds what carries them even
    where no record was left.
    """

    folder: Path
    name: str

    @property
    def home(self) -> Path:
        """Where all of its files are; also the mark that its lasting processes carry."""
        return self.folder / self.name

    @property
    def cgroup(self) -> str:
        """Its cgroup, below the root of each hierarchy."""
        return f"scenario-lab-{self._lab}-{self.name}"

    @property
    def interface(self) -> str:
        """The one interface that this machine itself gets, at most 15 characters."""
        return f"sclab-{self._lab}{self.name[0]}"

    @property
    def _lab(self) -> str:
        """Six characters that tell the labs of one machine apart."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]


def premises_of(folder: Path) -> Side:
    """Name the customer's side of a lab."""
    return Side(folder, "premises")


def cloud_of(folder: Path) -> Side:
    """Name the side of a lab that stands for the public cloud."""
    return Side(folder, "kubernetes")
