"""Runs `pulumi` with an orderly shutdown, and ends processes that a killed run left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.console import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

_OURS = ("pulumi-language-python", "pulumi.dynamic", "ansible-playbook")
_GRACE_S = 5.0


def run_to_its_end(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], stdin: int | None
) -> int:
    """Run a command and return its exit status; when we are stopped, let it shut down in order.

    Ctrl-C reaches `pulumi` directly, which then finishes its current step; SIGTERM is forwarded as SIGINT.
    """
    with subprocess.Popen(command, cwd=cwd, env=environment, stdin=stdin) as process:  # noqa: S603

        def hand_on(_signal: int, _frame: FrameType | None) -> None:
            process.send_signal(signal.SIGINT)

        before = signal.signal(signal.SIGTERM, hand_on)
        try:
            while True:
                with contextlib.suppress(KeyboardInterrupt):
                    return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)


def _command_line(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode("utf-8", "replace") for part in raw.split(b"\0") if part]


def _parent(pid: int) -> int:
    try:
        # The second field, the name, may contain spaces and brackets: only what follows its last bracket is
        # fixed.
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def is_pulumi(pid: int) -> bool:
    """Whether the process is a live `pulumi` command, and not another one that reuses its PID."""
    line = _command_line(pid)
    return bool(line) and Path(line[0]).name == "pulumi"


def _belongs_to_live_run(pid: int) -> bool:
    while pid > 1:
        if is_pulumi(pid):
            return True
        pid = _parent(pid)
    return False


def _stray(pulumi_home: str) -> list[int]:
    marker = f"PULUMI_HOME={pulumi_home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        if not any(name in part for part in _command_line(pid)[:6] for name in _OURS):
            continue
        try:
            ours = marker in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if ours and not _belongs_to_live_run(pid):
            found.append(pid)
    return found


def end_stray_processes(pulumi_home: str) -> None:
    """End processes that a killed run of this state folder left behind; services and training are not touched.

    Such processes have the state folder in their environment, and no live `pulumi` among their ancestors.
    """
    left = _stray(pulumi_home)
    if not left:
        return
    say(f"recovery: ending processes that a killed run left behind: {', '.join(map(str, left))}")
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        deadline = time.monotonic() + _GRACE_S
        while (left := _stray(pulumi_home)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not left:
            return
