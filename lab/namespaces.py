"""The namespaces of one side of a lab: created, entered, and found again from their record.

All of a side lives in namespaces held open by one process, the keeper: when it ends, the kernel removes its
processes, mounts, interfaces and rules. See `docs/decisions/0040-lab-premises.md`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import LabError
from lab.commands import run
from lab.processes import MARK, Process, all_pids, children

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.record import Record
    from lab.side import Side

_KEEPER = Path(__file__).with_name("namespace_holder.py")
_KINDS = ("mnt", "net", "pid")
_DETACHED = ("setsid", "--fork")
"""Daemons are reparented to init, and outlive the run that starts them."""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Mount, PID and network namespaces, identified by the process that holds them."""

    keeper: int
    side: Side

    @property
    def folder(self) -> Path:
        """The state folder of the lab."""
        return self.side.folder

    def run(self, command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> str:
        """Run a short command in the namespaces; return its output."""
        return run([*self._enter, *command], stdin=stdin, timeout_s=timeout_s)

    @property
    def other_networks(self) -> list[Path]:
        """Nested network namespaces, which processes of this machine may have entered."""
        return []

    def inhabitants(self) -> list[Process]:
        """List the processes in any of the namespaces, by this machine's PIDs."""
        places = [*(Path(f"/proc/{self.keeper}/ns/{kind}") for kind in _KINDS), *self.other_networks]
        # Inode numbers are compared while the namespaces exist: the kernel soon reuses them.
        numbers = {place.stat().st_ino for place in places if place.exists()}
        return [process for pid in all_pids() if _namespaces(pid) & numbers and (process := Process.of(pid))]

    def spawn(self, command: Sequence[str], *, cgroups: Sequence[Path], log: Path) -> None:
        """Start a daemon in the namespaces, with its output in a file.

        `cgroups` are its own, at most one per hierarchy, as seen from the namespaces.
        """
        script = 'while [ "$1" != -- ]; do mkdir -p "$1" && echo 0 > "$1/cgroup.procs" || exit; shift; done; '
        script += 'shift; exec "$@"'
        with log.open("ab") as output:
            subprocess.run(  # noqa: S603
                [*_DETACHED, *self._enter, "sh", "-c", script, "sh", *map(str, cgroups), "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(self.side),
                cwd="/",
                check=True,
            )

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self.keeper}", "--mount", "--net", "--pid", "--"]


def create(record: Record) -> Namespaces:
    """Create the namespaces and record their keeper. Raises LabError if the machine does not allow it."""
    flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    held = [*_DETACHED, "sh", "-c", 'echo $$ && exec "$@"', "sh", "unshare", *flags, "--"]
    with (record.side.home / "keeper.log").open("ab") as log:
        starting = subprocess.Popen(  # noqa: S603
            [*held, sys.executable, "-I", str(_KEEPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(record.side),
            cwd="/",
        )
    if starting.stdin is None or starting.stdout is None:
        raise AssertionError("unreachable: both are pipes")
    with starting, starting.stdin, starting.stdout:
        holder = int(starting.stdout.readline() or 0)
        keeper = _only_child(holder)
        record.holder, record.keeper = Process.of(holder), Process.of(keeper)
        record.save()
        with contextlib.suppress(BrokenPipeError):
            starting.stdin.write(b"go\n")
            starting.stdin.flush()
        if not keeper or starting.stdout.readline() != b"ready\n":
            told = (record.side.home / "keeper.log").read_text(encoding="utf-8", errors="replace").strip()
            raise LabError(f"cannot create namespaces: {told[-300:] or 'unshare ended without output'}")
    space = Namespaces(keeper, record.side)
    # A private /run, so that tools' files there are removed with the lab.
    space.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"])
    return space


def existing(record: Record | None) -> Namespaces | None:
    """Return the recorded namespaces, if they are still held."""
    if record and record.keeper and record.keeper.alive and record.holder and record.holder.alive:
        return Namespaces(record.keeper.pid, record.side)
    return None


def _namespaces(pid: int) -> set[int]:
    found = set()
    for kind in _KINDS:
        with contextlib.suppress(OSError):
            found.add(Path(f"/proc/{pid}/ns/{kind}").stat().st_ino)
    return found


def _only_child(pid: int) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Process.of(pid):
        if found := children(pid):
            return found[0]
        time.sleep(0.005)
    return 0


def _environment(side: Side) -> dict[str, str]:
    """A daemon's minimal environment, with the mark by which a teardown finds unrecorded processes."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", MARK: str(side.home)}
