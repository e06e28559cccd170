"""What is written down about premises: beside what every side has, their hosts by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.record import Record
from lab.side import premises_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True, kw_only=True)
class PremisesRecord(Record):
    """The record of one lab's premises."""

    hosts: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The state folder of the lab."""
        return self.side.folder


def load(folder: Path) -> PremisesRecord | None:
    """Read what was written down about the premises of a lab; None where nothing was."""
    return PremisesRecord.load(premises_of(folder))
