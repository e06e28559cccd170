"""What is written down about one side of a running lab, always before the thing itself is made."""

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
    """One side: where it is in its life, the processes that hold it, and its range of addresses."""

    side: Side
    phase: Phase = "starting"
    boot: str = field(default_factory=boot_id)
    holder: Process | None = None
    """`unshare`, whose end ends the keeper."""
    keeper: Process | None = None
    """The first process of the side's namespaces."""
    inhabitants: list[Process] = field(default_factory=list)
    """Who was in the namespaces when the teardown began: a guest from outside would keep them."""
    network: str = ""
    """The range that the lab's addresses come from."""

    @property
    def file(self) -> Path:
        """Where it is written."""
        return _file(self.side)

    def save(self) -> None:
        """Write it so that a kill at any point leaves the old or the new one, whole."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".new")
        told = asdict(self)
        del told["side"]  # known by where the file lies
        with aside.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.file)

    def stop(self, inhabitants: list[Process]) -> None:
        """Write down that it is being torn down, and who lived in its namespaces when that began."""
        self.phase = "stopping"
        self.inhabitants = inhabitants or self.inhabitants
        self.save()

    @classmethod
    def load(cls, side: Side) -> Self | None:
        """Read what was written down; None where nothing was.

        After a restart of the machine no process is ours. A file that makes no sense tells of a start that
        came to nothing: its lab is cleared away by the marks of its processes.
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
