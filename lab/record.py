"""The record of one side of a running lab, always written before a thing is created."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Self

from lab.processes import Process, boot_id

if TYPE_CHECKING:
    from pathlib import Path

    from lab.side import Side

Phase = Literal["starting", "up", "stopping"]


@dataclass(slots=True, kw_only=True)
class Record:
    """One side: its state, the processes that hold it, and its address range."""

    side: Side
    phase: Phase = "starting"
    boot: str = field(default_factory=boot_id)
    holder: Process | None = None
    """`unshare`; killing it ends the keeper."""
    keeper: Process | None = None
    """The first process of the side's namespaces."""
    inhabitants: list[Process] = field(default_factory=list)
    """Processes in the namespaces when the teardown began: an outside process would keep them alive."""
    network: str = ""
    """The lab's address range."""

    @property
    def file(self) -> Path:
        """The file of the record."""
        return _file(self.side)

    def save(self) -> None:
        """Write it atomically."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".new")
        told = asdict(self)
        del told["side"]  # implied by the file's path
        with aside.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.file)

    def stop(self, inhabitants: list[Process]) -> None:
        """Record that it is being torn down, and the processes in its namespaces at that time."""
        self.phase = "stopping"
        self.inhabitants = inhabitants or self.inhabitants
        self.save()

    @classmethod
    def load(cls, side: Side) -> Self | None:
        """Read the record; None if there is none.

        After a restart of the machine no process is ours. An invalid file is left by a failed start: its lab
        is removed by the marks of its processes.
        """
        try:
            told = json.loads(_file(side).read_text(encoding="utf-8"))
            same_boot = told["boot"] == boot_id()
            for name in ("holder", "keeper"):
                told[name] = Process(**told[name]) if told[name] and same_boot else None
            told["inhabitants"] = [Process(**each) for each in told["inhabitants"] if same_boot]
            known = {each.name for each in fields(cls)}
            return cls(**{name: told[name] for name in told if name in known}, side=side)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return cls(side=side)


def _file(side: Side) -> Path:
    return side.home / "record.json"
