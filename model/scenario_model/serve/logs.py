"""The server's log: one JSON object per line on standard error, readable text on a terminal.

A line has the key's name, the kind of request, its size and duration. It never contains a prompt, an answer,
a key, a query string, or the message of an unexpected exception (which could quote any of them).
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from scenario_model import logs

LOGGER = logging.getLogger("scenario_model.serve")
# Their messages about single connections (a failed handshake, a malformed request) are caused by clients and
# may quote them; our own lines and metrics cover these.
QUIETENED = ("uvicorn.error", "uvicorn.access", "asyncio")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        pairs = logs.fields(record).items()
        details = " ".join(f"{name}={value}" for name, value in pairs if value is not None)
        return f"scenario-model: {record.getMessage()} {details}".rstrip()


def configure() -> None:
    """Send our log, and the HTTP library's warnings, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    in_text = sys.stderr.isatty() and not logs.in_json()
    handler.setFormatter(_Text() if in_text else logs.JsonLines("event"))
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.NOTSET)  # the level of the package's log
    LOGGER.propagate = False
    # A failed write to the log must not print a traceback that quotes the request.
    logging.raiseExceptions = False
    for name in QUIETENED:
        logging.getLogger(name).handlers = [logging.NullHandler()]
        logging.getLogger(name).propagate = False


def info(event: str, **fields: Any) -> None:
    """Log one event with its fields."""
    LOGGER.info(event, extra={"fields": fields})


def exception(event: str, **fields: Any) -> None:
    """Log the current exception: its type and origin."""
    LOGGER.exception(event, extra={"fields": fields})  # noqa: LOG004  (called from handlers)
