"""The cloud's audit log: objects in the store of the catalogue, `audit/HOUR/….gz`, each written once.

Many sites are logged together, some seconds' worth in one object, and nobody waits for it: a receiver that is killed
loses the last seconds of its log. The site's own log, which is written before anything goes up, has them.
"""

from __future__ import annotations

import gzip
import json
import secrets
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from scenario_model.errors import Refused
from scenario_model.exchange.contract import Crossing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.release.store import Store

_FOLDER = "audit"
_LINES = 10_000
"""In one object: some 2 MB before compression, less than a store takes."""


class AuditObjects:
    """What crossed, by one receiver. Thread-safe. `most`: crossings that wait for a store that does not take them."""

    def __init__(self, store: Store, most: int = 200_000) -> None:
        self._store, self._most = store, most
        self._receiver, self._written = secrets.token_hex(6), 0
        self._waiting: list[Crossing] = []
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether no more can wait: then nothing may cross."""
        return len(self._waiting) >= self._most

    def record(self, *crossings: Crossing) -> None:
        """Note crossings; `write` makes them durable."""
        with self._lock:
            self._waiting += crossings

    def write(self, at: float) -> int:
        """Write what waits, and return how many crossings that were. `at`: now, in seconds since 1970.

        Raises what the store raises; then they wait on.
        """
        written = 0
        while True:
            with self._lock:
                some = self._waiting[:_LINES]
            if not some:
                return written
            self._write(at, some)
            with self._lock:
                del self._waiting[: len(some)]
            written += len(some)

    def read(self) -> Iterator[Crossing]:
        """Every crossing that any receiver has written, the oldest hour first."""
        for hour in self._store.children(_FOLDER):
            for name in self._store.children(f"{_FOLDER}/{hour}"):
                content = self._store.read(f"{_FOLDER}/{hour}/{name}")
                yield from _crossings(content or b"", f"{_FOLDER}/{hour}/{name}")

    def _write(self, at: float, crossings: list[Crossing]) -> None:
        lines = "\n".join(json.dumps(asdict(each), separators=(",", ":")) for each in crossings)
        # A number that was given to an object whose fate is not known is not given again.
        self._written += 1
        key = f"{_FOLDER}/{int(at) // 3600:07d}/{int(at * 1000):014d}-{self._receiver}-{self._written:06d}.gz"
        if not self._store.create(key, gzip.compress(lines.encode(), 6, mtime=0)):
            raise Refused("another receiver has this name", where=key)


def _crossings(content: bytes, where: str) -> Iterator[Crossing]:
    try:
        for line in gzip.decompress(content).decode().splitlines():
            yield Crossing(**json.loads(line))
    except (OSError, EOFError, ValueError, TypeError):
        raise Refused("is not an object of the audit log", where=where) from None
