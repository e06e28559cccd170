"""What is written down about a running lab, always before the thing itself is made.

Names that follow from the state folder alone (the cgroup, the interface on this machine) need no writing
down: a teardown finds them even where no record was left.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from lab.processes import Process, boot_id

if TYPE_CHECKING:
    from pathlib import Path

Phase = Literal["starting", "up", "stopping"]


@dataclass(slots=True, kw_only=True)
class Record:
    """One lab: where it is in its life, the processes that hold it, its network, and its hosts by name."""

    folder: Path
    phase: Phase = "starting"
    boot: str = field(default_factory=boot_id)
    holder: Process | None = None
    """`unshare`, whose end ends the keeper."""
    keeper: Process | None = None
    """The first process of the lab's namespaces."""
    inhabitants: list[Process] = field(default_factory=list)
    """Who was in the namespaces when the teardown began: a guest from outside would keep them."""
    network: str = ""
    """The range that the lab's addresses come from."""
    hosts: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Where it is written."""
        return self.folder / "premises" / "record.json"

    def save(self) -> None:
        """Write it so that a kill at any point leaves the old or the new one, whole."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".new")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(asdict(self) | {"folder": str(self.folder)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.file)


def load(folder: Path) -> Record | None:
    """Read what was written down; None where nothing was.

    After a restart of the machine no process is ours. A file that makes no sense tells of a start that came
    to nothing: its lab is cleared away by the marks of its processes.
    """
    try:
        told = json.loads((folder / "premises" / "record.json").read_text(encoding="utf-8"))
        same_boot = told["boot"] == boot_id()
        for name in ("holder", "keeper"):
            told[name] = Process(**told[name]) if told[name] and same_boot else None
        told["inhabitants"] = [Process(**each) for each in told["inhabitants"] if same_boot]
        return Record(**told | {"folder": folder})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Record(folder=folder)


def lab_id(folder: Path) -> str:
    """Return six characters that tell the labs of one machine apart."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:6]


def cgroup_of(folder: Path) -> str:
    """Name the lab's cgroup, below the root of the hierarchy."""
    return f"scenario-lab-{lab_id(folder)}"


def interface_of(folder: Path) -> str:
    """Name the one interface that this machine itself gets, at most 15 characters."""
    return f"sclab-{lab_id(folder)}"
