"""The audit log: one line for everything that crosses between a site and the cloud, kept on the side that writes it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scenario_model.errors import ScenarioModelError
from scenario_model.exchange.contract import Crossing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE = 0o640


class AuditLog:
    """A folder with one file of JSON lines a day (UTC), only ever appended to; several processes may write it.

    What is logged are sizes and digests, never content.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, *crossings: Crossing) -> None:
        """Append crossings durably. Raises ScenarioModelError if they cannot be kept: then nothing may cross."""
        by_day: dict[str, list[str]] = {}
        for each in crossings:
            day = datetime.fromtimestamp(each.at, UTC).date().isoformat()
            by_day.setdefault(day, []).append(json.dumps(asdict(each), separators=(",", ":")))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for day, lines in by_day.items():
                _append(self._folder / f"{day}.jsonl", "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise ScenarioModelError(
                f"cannot write the audit log: {error.strerror}",
                where=str(self._folder),
                remedy="free some space; nothing crosses meanwhile",
            ) from None

    def read(self) -> Iterator[Crossing]:
        """Every crossing, the oldest day first. A line that a power cut left unfinished is skipped."""
        for path in sorted(self._folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    yield Crossing(**json.loads(line))
                except (ValueError, TypeError):
                    continue


def _append(path: Path, content: bytes) -> None:
    # One write to a file opened for appending is not mixed with those of other processes.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # A power cut left half a line: it must not spoil this one.
            content = b"\n" + content
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
