"""The log: lines on standard error, as text or as one JSON object per line. Results go to standard output.

`scenario-model -v`, `-q` and `--log-json` choose level and format. `serve` has its own events
(`serve/logs.py`) and takes its level from here. Lines never contain prompts, texts, keys or secrets.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("scenario_model")


class JsonLines(logging.Formatter):
    """Time, level, text (as `message` or another key), and the record's fields."""

    def __init__(self, key: str = "message") -> None:
        super().__init__()
        self._key = key

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            self._key: getattr(record, "event", None) or record.getMessage(),
            **fields(record),
        }
        return json.dumps(line)


class _StandardError(logging.Handler):
    """Writes to the current standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


_HANDLER = _StandardError()
_TEXT = logging.Formatter("%(message)s")
LOGGER.handlers = [_HANDLER]
LOGGER.propagate = False
LOGGER.setLevel(logging.INFO)


def configure(*, level: int = logging.INFO, as_json: bool = False) -> None:
    """Set level and format; the default is INFO and text."""
    LOGGER.setLevel(level)
    _HANDLER.setFormatter(JsonLines() if as_json else _TEXT)


def say(text: str) -> None:
    """Log one line for the user."""
    LOGGER.info(text)


def error(text: str) -> None:
    """Log why a command failed."""
    LOGGER.error(text)


def detail(text: str) -> None:
    """Log a developer detail."""
    LOGGER.debug(text)


def figures(event: str, **values: Any) -> None:
    """Log figures: as text only the JSON object of the values, as JSON with the event as message."""
    LOGGER.info(json.dumps(values), extra={"event": event, "fields": values})


def in_json() -> bool:
    """Whether `--log-json` was given."""
    return isinstance(_HANDLER.formatter, JsonLines)


def live() -> bool:
    """Whether to show a rewritten progress line: for people, on a terminal."""
    return LOGGER.isEnabledFor(logging.INFO) and not in_json() and sys.stderr.isatty()


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the record's fields; of an exception its type and place, never its message, which may quote data."""
    found: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        found |= {"exception": type(record.exc_info[1]).__name__, "where": _where(record.exc_info[1])}
    return found


def _where(error: BaseException) -> list[str]:
    """Return an exception's origin, without its message: `file:line function`, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
