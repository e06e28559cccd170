"""Receives a release's files: resumed after every interruption, at a limited rate, never more bytes than were signed.

A file arrives below its digest. What is there already, in the release that the site serves or from a former
attempt, is not sent again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.atomic_io import disk_errors
from scenario_model.errors import Refused, ScenarioModelError, TemporaryError
from scenario_model.release.names import ReleaseId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from scenario_model.catalogue.documents import File, ReleaseIndex
    from scenario_model.catalogue.sources import Source

_SLEEP_S = 0.05


@dataclass(slots=True)
class Pace:
    """At most `bytes_per_second` on average since the last pause; None: no limit."""

    bytes_per_second: int | None = None
    _ahead: float = 0.0
    _last: float = 0.0

    def spend(self, number: int) -> None:
        """Wait until so many bytes may have been received."""
        if self.bytes_per_second is None:
            return
        now = time.monotonic()
        self._ahead = max(0.0, self._ahead - (now - self._last)) + number / self.bytes_per_second
        self._last = now
        if self._ahead > _SLEEP_S:
            time.sleep(self._ahead)


@dataclass(frozen=True, slots=True)
class Download:
    """Brings releases from a source into a folder `arriving`.

    `have`: folders with files that need not be received again. `attempts`: failures in a row until it gives up for
    now, with a second's pause after the first and twice as long after each further one, up to `longest_pause`.
    """

    source: Source
    arriving: Path
    have: Sequence[Path] = ()
    pace: Pace | None = None
    attempts: int = 10
    longest_pause: float = 60.0

    def bring(self, index: ReleaseIndex, progress: Callable[[int, int], None] | None = None) -> Path:
        """Return a folder with the release's files, each with the size and digest that were signed.

        `progress(bytes, of)`. Raises Refused if the source has other content; TemporaryError if it cannot be read;
        ScenarioModelError if there is no room: all three keep what has arrived.
        """
        release = ReleaseId.parse(index.release)
        final = self.arriving / f"{release.name}-{release.digest.removeprefix('sha256:')}"
        with disk_errors(self.arriving):
            final.mkdir(parents=True, exist_ok=True)
            self._require_room(index, final)
            done = 0
            for path, file in sorted(index.files.items()):
                target = final / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if not _is(target, file):
                    self._one(f"{release.key}/{path}", file, target)
                done += file.bytes
                if progress:
                    progress(done, index.size)
            self._remove_others(index.files, final)
        return final

    def _one(self, path: str, file: File, target: Path) -> None:
        part = self.arriving / f"{file.sha256}.part"
        for folder in self.have:
            there = next((each for each in folder.rglob(target.name) if _is(each, file)), None)
            if there is not None:
                shutil.copyfile(there, part)
        failures, size = 0, -1
        while not part.exists() or part.stat().st_size < file.bytes or not _is(part, file):
            before = part.stat().st_size if part.exists() else 0
            failures = 0 if before > size else failures
            size = before
            try:
                self._continue(path, file, part)
            except TemporaryError:
                failures += 1
                if failures >= self.attempts:
                    raise
                time.sleep(min(self.longest_pause, 2.0 ** (failures - 1)))
        part.replace(target)

    def _continue(self, path: str, file: File, part: Path) -> None:
        start = part.stat().st_size if part.exists() else 0
        if start > file.bytes or (start == file.bytes and not _is(part, file)):
            # Not what was signed: a changed source, or a damaged disk.
            part.unlink()
            raise Refused("content differs from what was signed", where=path)
        with part.open("ab") as stream:
            try:
                for piece in self.source.read(path, start):
                    if start + len(piece) > file.bytes:
                        raise Refused(f"is longer than the {file.bytes} bytes that were signed", where=path)
                    stream.write(piece)
                    start += len(piece)
                    if self.pace:
                        self.pace.spend(len(piece))
            except FileNotFoundError:
                raise Refused("is listed, but the catalogue does not have it", where=path) from None
            finally:
                stream.flush()
                os.fsync(stream.fileno())
        if start < file.bytes:
            raise TemporaryError(f"ended after {start} of {file.bytes} bytes", where=path)

    def _require_room(self, index: ReleaseIndex, final: Path) -> None:
        needed = sum(file.bytes for path, file in index.files.items() if not (final / path).exists())
        free = shutil.disk_usage(self.arriving).free
        if needed > free:
            raise ScenarioModelError(
                f"has {free // 2**20} MiB free, and {index.release} needs {needed // 2**20} MiB",
                where=str(self.arriving),
                remedy="free some space; what has arrived is kept",
            )

    def _remove_others(self, wanted: Iterable[str], final: Path) -> None:
        names = {*wanted}
        for path in final.rglob("*"):
            if not path.is_dir() and path.relative_to(final).as_posix() not in names:
                path.unlink()


def _is(path: Path, file: File) -> bool:
    """Whether a file has this size and digest."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
