"""The log: lines on standard error, as text or as one JSON object a line. Answers go to standard output.

`scenario-model -v`, `-q` and `--log-json` choose level and form. `serve` has events with fields of its own
(`serve/logs.py`) and takes its level from here. A line never holds a prompt, a text, a key or a secret.
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
    """Time, level, what is said (as `message` or another key), and the record's fields."""

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
    """Writes to what is standard error at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


_HANDLER = _StandardError()
_TEXT = logging.Formatter("%(message)s")
LOGGER.handlers = [_HANDLER]
LOGGER.propagate = False
LOGGER.setLevel(logging.INFO)


def configure(*, level: int = logging.INFO, as_json: bool = False) -> None:
    """Set level and form; before, it is INFO and text."""
    LOGGER.setLevel(level)
    _HANDLER.setFormatter(JsonLines() if as_json else _TEXT)


def say(text: str) -> None:
    """Log one line for the user."""
    LOGGER.info(text)


def error(text: str) -> None:
    """Log why a command ends without having done what it was asked for."""
    LOGGER.error(text)


def detail(text: str) -> None:
    """Log what only a developer wants to know."""
    LOGGER.debug(text)


def figures(event: str, **values: Any) -> None:
    """Log figures: as text the JSON object of the values alone, as JSON with the event as message."""
    LOGGER.info(json.dumps(values), extra={"event": event, "fields": values})


def in_json() -> bool:
    """Whether `--log-json` was given."""
    return isinstance(_HANDLER.formatter, JsonLines)


def live() -> bool:
    """Whether a line may be shown that is rewritten: to people, on a terminal."""
    return LOGGER.isEnabledFor(logging.INFO) and not in_json() and sys.stderr.isatty()


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the record's fields; of an exception its type and place, never its message, which may quote."""
    found: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        found |= {"exception": type(record.exc_info[1]).__name__, "where": _where(record.exc_info[1])}
    return found


def _where(error: BaseException) -> list[str]:
    """Tell where an exception came from, without its message: `file:line function`, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
