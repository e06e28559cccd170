"""The record of premises: in addition to every side's, their hosts by name."""

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
    """Read the record of a lab's premises; None if there is none."""
    return PremisesRecord.load(premises_of(folder))
