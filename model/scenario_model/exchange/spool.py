"""Reports on their way up: kept on the site's disk, numbered, until the cloud has said that it has them.

SQLite with a write-ahead log: a report that was added survives `kill -9` and a power cut, and its number is never
given again. The cloud takes each (site, number) once, so what is sent twice counts once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from scenario_model.errors import ScenarioModelError
from scenario_model.exchange.contract import BATCH_BYTES, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scenario_model.exchange.contract import Message

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (sequence INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS told (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_BEGIN = """
INSERT INTO sqlite_sequence (name, seq)
SELECT 'reports', ? WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'reports')
"""
_DROPPED = "dropped"
_COUNT = "INSERT INTO told VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"


class Spool:
    """One site's reports. `most`: how many wait at most; beyond, the oldest are given up, and counted.

    `first`: the number of a new spool's first report. A site that was made anew must not begin where it once began, or
    its reports would be taken for those that it sent then.
    """

    def __init__(self, path: Path, most: int = 1_000_000, first: int = 1) -> None:
        """Raises ScenarioModelError if the file is not a spool, or cannot be written."""
        self._path, self._most = path, most
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
            self._database.execute(_BEGIN, (first - 1,))
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def add(self, *messages: Message) -> int:
        """Keep reports durably; returns the last one's number. Without room: ScenarioModelError, and none is kept."""
        contents = [(encode(message),) for message in messages]
        try:
            with self._transaction() as database:
                database.executemany("INSERT INTO reports (content) VALUES (?)", contents)
                (last,) = database.execute(
                    "SELECT seq FROM sqlite_sequence WHERE name = 'reports'"
                ).fetchone()
                gone = database.execute(
                    "DELETE FROM reports WHERE sequence <= ?", (last - self._most,)
                ).rowcount
                if gone:
                    database.execute(_COUNT, (_DROPPED, gone))
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        return int(last)

    def waiting(self, most_bytes: int = BATCH_BYTES) -> list[tuple[int, bytes]]:
        """The oldest reports that wait, with their numbers, as many as fit; at least one if any waits."""
        found, size = list[tuple[int, bytes]](), 0
        for sequence, content in self._database.execute(
            "SELECT sequence, content FROM reports ORDER BY sequence"
        ):
            size += len(content)
            if found and size > most_bytes:
                break
            found.append((int(sequence), bytes(content)))
        return found

    def sent(self, sequence: int) -> None:
        """The cloud has all reports up to this number: they need not be kept."""
        with self._transaction() as database:
            database.execute("DELETE FROM reports WHERE sequence <= ?", (sequence,))

    @property
    def number_waiting(self) -> int:
        """How many wait."""
        return int(self._database.execute("SELECT count(*) FROM reports").fetchone()[0])

    @property
    def number_dropped(self) -> int:
        """How many were given up since the spool was made."""
        row = self._database.execute("SELECT value FROM told WHERE name = ?", (_DROPPED,)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _unusable(self, error: sqlite3.Error) -> ScenarioModelError:
        return ScenarioModelError(
            f"cannot keep reports: {error}",
            where=str(self._path),
            remedy="free some space, or move the file away",
        )
