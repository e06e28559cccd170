"""The server's log: one JSON object a line on standard error, readable text if that is a terminal.

A line says who asked what kind of thing, how much and how long it took. It never holds a prompt, an answer,
a key, a query string, or the message of an unexpected exception (which could quote any of them).
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("scenario_model.serve")
# What these have to say about one connection (a broken handshake, a malformed request) is the client's doing
# and may quote it; our own lines and metrics tell of it.
QUIETENED = ("uvicorn.error", "uvicorn.access", "asyncio")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        return json.dumps(line)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        details = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        return f"scenario-model: {record.getMessage()} {details}".rstrip()


def configure() -> None:
    """Send our log, and the HTTP library's complaints, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if sys.stderr.isatty() else _JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    # A log that cannot be written must not end in a traceback that quotes what is being handled.
    logging.raiseExceptions = False
    for name in QUIETENED:
        logging.getLogger(name).handlers = [logging.NullHandler()]
        logging.getLogger(name).propagate = False


def info(event: str, **fields: Any) -> None:
    """Log one event with its fields."""
    LOGGER.info(event, extra={"fields": fields})


def exception(event: str, **fields: Any) -> None:
    """Log the exception that is being handled: its type and where it came from."""
    LOGGER.exception(event, extra={"fields": fields})  # noqa: LOG004  (called from handlers)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        fields |= {"exception": type(record.exc_info[1]).__name__, "where": _where(record.exc_info[1])}
    return fields


def _where(error: BaseException) -> list[str]:
    """Tell where an exception came from, without its message: `file:line function`, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
