"""The files that the web server hands out, of a folder or a bucket: small ones from memory, large ones in pieces."""

from __future__ import annotations

import asyncio
import hashlib
import stat
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scenario_model.catalogue.shelf import FOLDER, METADATA
from scenario_model.cloud.bucket import Stored
from scenario_model.errors import TemporaryError
from scenario_model.release.store import keys_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

_PIECE_BYTES = 256 * 1024
_SMALL_BYTES = 2**20
_KEPT_BYTES = 64 * 2**20
_ENTRY_BYTES = 512
_TIMESTAMP = f"{METADATA}/timestamp.json"


class Files(Protocol):
    """Objects by their keys. `release.s3_store` is one."""

    def describe(self, key: str) -> Stored | None:
        """The object's present version; None if there is no such object."""

    def pieces(self, key: str, version: Stored, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` to `end` (exclusive) of that version."""

    def keys(self, prefix: str) -> Iterable[str]:
        """All keys below `prefix`, relative to it."""


class FolderFiles:
    """The files of a store's folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def describe(self, key: str) -> Stored | None:
        """See `Files`. Links and folders are not objects."""
        try:
            found = (self._root / key).lstat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return Stored(found.st_size, None, f'"{found.st_mtime_ns:x}-{found.st_size:x}"')

    def pieces(self, key: str, version: Stored, start: int, end: int) -> Iterator[bytes]:
        """See `Files`. A file that shrinks meanwhile ends early."""
        del version
        with (self._root / key).open("rb") as file:
            file.seek(start)
            while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
                start += len(piece)
                yield piece

    def keys(self, prefix: str) -> list[str]:
        """See `Files`."""
        return keys_below(self._root / prefix)


@dataclass(frozen=True, slots=True)
class Opened:
    """One version of a file. `content`: all of it if it is small, with its SHA-256; None: read it in pieces."""

    version: Stored
    content: bytes | None = None
    sha256: str = ""


class Kept:
    """Metadata in memory, so that thousands of sites that ask for the same cost the store one request a second.

    All but the timestamp is written once, and kept while there is room. What is not there, and the timestamp, are
    looked up again after `seconds`.
    """

    def __init__(self, files: Files, pool: Executor, seconds: float = 1.0) -> None:
        self._files, self._pool, self._seconds = files, pool, seconds
        self._kept: OrderedDict[str, tuple[float, Opened | None]] = OrderedDict()
        self._bytes = 0
        self._reading: dict[str, asyncio.Future[Opened | None]] = {}

    async def open(self, key: str) -> Opened | None:
        """The file; None if there is none. Raises what the store raises."""
        if not key.startswith(f"{FOLDER}/"):
            loop = asyncio.get_running_loop()
            version = await loop.run_in_executor(self._pool, self._files.describe, key)
            return Opened(version) if version else None
        if key in self._kept:
            until, opened = self._kept[key]
            if time.monotonic() < until:
                self._kept.move_to_end(key)
                return opened
        if key not in self._reading:
            reading = asyncio.get_running_loop().run_in_executor(self._pool, self._read, key)
            self._reading[key] = asyncio.ensure_future(self._keep(key, reading))
        return await asyncio.shield(self._reading[key])

    async def _keep(self, key: str, reading: asyncio.Future[Opened | None]) -> Opened | None:
        try:
            opened = await reading
        finally:
            del self._reading[key]
        changes = opened is None or key == _TIMESTAMP
        self._drop(key)
        if opened is None or opened.content is not None:
            self._kept[key] = (time.monotonic() + self._seconds if changes else float("inf"), opened)
            self._bytes += _size(opened)
        while self._bytes > _KEPT_BYTES:
            self._drop(next(iter(self._kept)))
        return opened

    def _drop(self, key: str) -> None:
        if key in self._kept:
            self._bytes -= _size(self._kept.pop(key)[1])

    def _read(self, key: str) -> Opened | None:
        version = self._files.describe(key)
        if version is None or version.size > _SMALL_BYTES:
            return Opened(version) if version else None
        content = b"".join(self._files.pieces(key, version, 0, version.size))
        if len(content) != version.size:
            raise TemporaryError("changed while it was read", where=key)
        return Opened(version, content, hashlib.sha256(content).hexdigest())


def _size(opened: Opened | None) -> int:
    # That a file is missing takes room, too.
    return _ENTRY_BYTES + (len(opened.content or b"") if opened else 0)
