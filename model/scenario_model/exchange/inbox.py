"""Where the cloud keeps what sites report: an append-only log of objects in the store that is there.

Whoever receives gathers what all sites send for a moment, writes one object, and only then acknowledges. Objects are
never changed. A report that arrives twice, at one receiver or at two, is in the log twice; whoever counts takes each
(site, number) once (`rollout.tally`). See docs/decisions/0067-reports-in-the-store.md for what this costs.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.errors import Refused
from scenario_model.exchange.contract import Message, decode
from scenario_model.release.names import is_name
from scenario_model.release.store import MAX_OBJECT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scenario_model.release.store import Store

_FOLDER = "reports"
# Before compression, so that the object is small enough for a store however little it is compressed.
_OBJECT_BYTES = MAX_OBJECT_BYTES - 64 * 1024
Reports = list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Report:
    """A site's message with its number, and when it arrived, in seconds since 1970 by the receiver's clock."""

    site: str
    number: int
    arrived: float
    message: Message


class Inbox:
    """The reports in one store. `receiver`: this process's name, so that no two write one object."""

    def __init__(self, store: Store, receiver: str = "") -> None:
        self._store, self._receiver, self._written = store, receiver or secrets.token_hex(6), 0

    def take(self, at: float, received: Mapping[str, Reports]) -> None:
        """Keep what sites sent, durably; `at` in seconds since 1970. Then they may be acknowledged."""
        lines, size = list[str](), 0
        for site, reports in sorted(received.items()):
            for sequence, content in reports:
                line = json.dumps([site, sequence, base64.b64encode(content).decode()])
                if size + len(line) > _OBJECT_BYTES:
                    self._write(at, lines)
                    lines, size = [], 0
                lines.append(line)
                size += len(line) + 1
        if lines:
            self._write(at, lines)

    def _write(self, at: float, lines: list[str]) -> None:
        self._written += 1
        key = f"{_FOLDER}/{int(at) // 3600:07d}/{int(at * 1000):014d}-{self._receiver}-{self._written:06d}.gz"
        if not self._store.create(key, gzip.compress("\n".join(lines).encode(), mtime=0)):
            raise Refused("another receiver has this name", where=key)

    def hours(self) -> list[int]:
        """The hours since 1970 of which there are reports, the oldest first."""
        return [int(name) for name in self._store.children(_FOLDER) if name.isdecimal()]

    def arrived(self, since: float, before: float = float("inf")) -> Iterator[Report]:
        """Reports that arrived within this time, in seconds since 1970; what was sent twice may be there twice."""
        for hour in self.hours():
            if since / 3600 < hour + 1 and hour <= before / 3600:
                folder = f"{_FOLDER}/{hour:07d}"
                for name in self._store.children(folder):
                    at = int(name.partition("-")[0]) / 1000
                    if since <= at < before:
                        yield from self._reports(f"{folder}/{name}", at)

    def _reports(self, where: str, arrived: float) -> Iterator[Report]:
        for site, number, content in _lines(self._store.read(where), where):
            yield Report(site, number, arrived, decode(content))


def checked(site: str, content: bytes) -> Reports:
    """Read what one site sent: a JSON list of [number, message]. Raises Refused if any of it breaks the contract."""
    if not is_name(site):
        raise Refused("is not a site's name", where=site[:64])
    try:
        read: Any = json.loads(content)
        if not isinstance(read, list):
            raise TypeError
        reports = [
            (sequence, json.dumps(message, sort_keys=True, separators=(",", ":")).encode())
            for sequence, message in read
        ]
    except (ValueError, TypeError, RecursionError):
        raise Refused("is not a list of reports", where=site) from None
    for position, (sequence, message) in enumerate(reports):
        if type(sequence) is not int or sequence < 1 or (position and sequence <= reports[position - 1][0]):
            raise Refused("its reports are not numbered upwards", where=site)
        decode(message)
    return reports


def packed(reports: Reports) -> bytes:
    """Return reports as `checked` reads them."""
    return b"[" + b",".join(b"[%d,%s]" % report for report in reports) + b"]"


def _lines(content: bytes | None, where: str) -> Iterator[tuple[str, int, bytes]]:
    if content is None:
        return
    try:
        text = gzip.decompress(content).decode()
        for line in text.splitlines():
            site, sequence, message = json.loads(line)
            yield str(site), int(sequence), base64.b64decode(message, validate=True)
    except (OSError, EOFError, ValueError, TypeError):
        raise Refused("is not an object of reports", where=where) from None
