"""What is kept of the windows: counts, times and scores, one line each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.atomic_io import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MOST, _SPARE = 3000, 300
"""Windows that are kept: a month of a quarter of an hour each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of one server.

    Attributes:
        start: seconds since 1970.
        seconds: its length.
        release: what was served.
        answered, refused, failed: requests, by whether they were answered, at fault (4xx), or failed (5xx).
        units: sessions that were scored.
        first_token_ms: median and 99th percentile; None if nothing was answered.
        signals: name, value and threshold of each detector.
        asks: nothing, warning or retraining.
        missed: requests that were not observed, because there were too many.
        prompt_tokens, answer_tokens: median and 99th percentile; None if nothing was answered.
        loss: median bits per byte that the served model needs for what it is asked; None if none was computed.
        good, bad: answers that people rated so.

    """

    start: float
    seconds: float
    release: str
    answered: int
    refused: int
    failed: int
    units: int
    first_token_ms: tuple[float, float] | None
    signals: Sequence[tuple[str, float, float]]
    asks: str
    missed: int = 0
    good: int = 0
    bad: int = 0
    prompt_tokens: tuple[float, float] | None = None
    answer_tokens: tuple[float, float] | None = None
    loss: float | None = None


class WindowLog:
    """The file of windows, the latest last. A torn line, of a server that was killed, is left out."""

    def __init__(self, path: Path) -> None:
        self._path, self._added = path, 0

    def add(self, window: Window) -> None:
        """Append a window. Raises OSError if it cannot be kept."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        torn = self._path.is_file() and not self._path.read_bytes().endswith(b"\n")
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write("\n" * torn + json.dumps(asdict(window)) + "\n")
        self._added += 1
        if self._added % _SPARE == 0:
            kept = self.read()[-_MOST:]
            write_text(self._path, "".join(json.dumps(asdict(each)) + "\n" for each in kept))

    def read(self) -> list[Window]:
        """All that are kept, the oldest first."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return [window for line in lines if (window := _read(line))]


def _read(line: str) -> Window | None:
    try:
        told: dict[str, Any] = json.loads(line)
        return Window(**told)
    except (ValueError, TypeError):
        return None
