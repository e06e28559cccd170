"""Logging of the tools: lines on standard error, one live line on a terminal. Results go to standard output.

Every command is started by `run`. Its log options come first: `-v` (also log the programs it runs), `-q`
(errors only), `--json` (one JSON object per line: time, level, message); or `V=1`, `Q=1`, `JSON=1` in the
environment, also for `make`. Output of Pulumi, Ansible and other programs is passed through unchanged.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_OPTIONS = {
    "-v": "verbose",
    "--verbose": "verbose",
    "-q": "quiet",
    "--quiet": "quiet",
    "--json": "json",
}
_VARIABLES = {"V": "verbose", "Q": "quiet", "JSON": "json"}


class _Console(logging.Handler):
    """Writes to the current standard error, overwriting a live line."""

    as_json = False
    _live = False

    def emit(self, record: logging.LogRecord) -> None:
        before, self._live = "\r\x1b[K" if self._live else "", False
        print(f"{before}{self._line(record)}", file=sys.stderr, flush=True)

    def rewrite(self, line: str) -> None:
        """Show a line that the next line replaces."""
        self._live = True
        print(f"\r{line}\x1b[K", file=sys.stderr, end="", flush=True)

    def _line(self, record: logging.LogRecord) -> str:
        if not self.as_json:
            return record.getMessage()
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(line, ensure_ascii=False)


_CONSOLE = _Console()
_LOGGER = logging.getLogger("model-deployment-scenarios")
_LOGGER.handlers = [_CONSOLE]
_LOGGER.propagate = False
_LOGGER.setLevel(logging.INFO)


def say(text: str) -> None:
    """Log one line for the user; standard output is reserved for results."""
    _LOGGER.info(text)


def detail(text: str) -> None:
    """Log a developer detail. Never a program's output or input: it may contain secrets."""
    _LOGGER.debug(text)


def run(main: Callable[[], None]) -> None:
    """Run a command with its log options; an exit message is logged as an error, with exit code 1."""
    try:
        sys.argv[1:] = configure(sys.argv[1:], os.environ)
        main()
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        _LOGGER.error(end.code)  # noqa: TRY400 a user error: no traceback
        raise SystemExit(1) from None


def configure(arguments: list[str], environment: MutableMapping[str, str]) -> list[str]:
    """Set level and format of the log; return the arguments without the log options, which come first.

    The variables are removed from the environment: programs we run get their log options from us.
    """
    asked = {name for variable, name in _VARIABLES.items() if environment.pop(variable, "") not in {"", "0"}}
    rest = list(arguments)
    while rest and rest[0] in _OPTIONS:
        asked.add(_OPTIONS[rest.pop(0)])
    _CONSOLE.as_json = "json" in asked
    _LOGGER.setLevel(logging.INFO)
    if {"verbose", "quiet"} <= asked:
        raise SystemExit("invalid options: --verbose and --quiet are mutually exclusive; use one of them")
    if "verbose" in asked:
        _LOGGER.setLevel(logging.DEBUG)
    elif "quiet" in asked:
        _LOGGER.setLevel(logging.ERROR)
    return rest


def duration(seconds: float) -> str:
    """Format seconds for people: `8 s`, `4 min 42 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """A progress line: rewritten on a terminal, repeated every half minute elsewhere."""

    def __init__(self, what: str, *, interval_s: float = 30.0) -> None:
        self._what, self._interval_s = what, interval_s
        self._begun = time.monotonic()
        shown = _LOGGER.isEnabledFor(logging.INFO)
        self._live = shown and not _CONSOLE.as_json and sys.stderr.isatty()
        self._last = self._begun

    def update(self, detail: str) -> None:
        """Show progress: `detail` and the elapsed time."""
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else self._interval_s):
            return
        self._last = now
        line = f"  {self._what}: {detail}, {duration(now - self._begun)}"
        if self._live:
            _CONSOLE.rewrite(line)
        else:
            say(line)

    def done(self, detail: str = "done") -> None:
        """End the live line and show how long it took."""
        say(f"  {self._what}: {detail} in {duration(time.monotonic() - self._begun)}")
