"""The server's log: one JSON object a line on standard error, readable text if that is a terminal.

A line says who asked what kind of thing, how much and how long it took. It never holds a prompt, an answer,
a key, a query string, or the message of an unexpected exception (which could quote any of them).
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from scenario_model import logs

LOGGER = logging.getLogger("scenario_model.serve")
# What these have to say about one connection (a broken handshake, a malformed request) is the client's doing
# and may quote it; our own lines and metrics tell of it.
QUIETENED = ("uvicorn.error", "uvicorn.access", "asyncio")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        pairs = logs.fields(record).items()
        details = " ".join(f"{name}={value}" for name, value in pairs if value is not None)
        return f"scenario-model: {record.getMessage()} {details}".rstrip()


def configure() -> None:
    """Send our log, and the HTTP library's complaints, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    in_text = sys.stderr.isatty() and not logs.in_json()
    handler.setFormatter(_Text() if in_text else logs.JsonLines("event"))
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.NOTSET)  # that of the package's log
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
