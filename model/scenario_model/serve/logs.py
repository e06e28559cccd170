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


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        details = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        return f"scenario-model: {record.getMessage()} {details}".rstrip()


def configure() -> None:
    """Send our log, and the HTTP library's complaints, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if sys.stderr.isatty() else _JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    # What uvicorn and asyncio have to say about one connection (a broken handshake, a malformed
    # request) is the client's doing, and may quote it: our own lines tell of it.
    for name in ("uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(name).handlers = [logging.NullHandler()]
        logging.getLogger(name).propagate = False


def info(event: str, **fields: Any) -> None:
    """Log one event with its fields."""
    LOGGER.info(event, extra={"fields": fields})


def error(event: str, **fields: Any) -> None:
    """Log one event that somebody should look at."""
    LOGGER.error(event, extra={"fields": fields})


def where(exception: BaseException) -> list[str]:
    """Tell where an exception came from, without its message: `file:line function`, innermost last."""
    frames = traceback.extract_tb(exception.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
