"""What the user sees while something takes long: lines on standard error, one live line on a terminal."""

from __future__ import annotations

import sys
import time


def say(text: str) -> None:
    """Print one line for the user; standard output stays free for the answer."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Write seconds as people do: `8 s`, `4 min 42 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """A line that is rewritten on a terminal, and repeated every half minute elsewhere."""

    def __init__(self, what: str, *, interval_s: float = 30.0) -> None:
        self._what, self._interval_s = what, interval_s
        self._begun = time.monotonic()
        self._live = sys.stderr.isatty()
        self._last = self._begun

    def update(self, detail: str) -> None:
        """Show how far it is: `detail` beside the time that has passed."""
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else self._interval_s):
            return
        self._last = now
        line = f"  {self._what}: {detail}, {duration(now - self._begun)}"
        print(
            f"\r{line}\x1b[K" if self._live else line,
            file=sys.stderr,
            end="" if self._live else "\n",
            flush=True,
        )

    def done(self, detail: str = "done") -> None:
        """End the live line and say how long it took."""
        line = f"  {self._what}: {detail} in {duration(time.monotonic() - self._begun)}"
        print(f"\r{line}\x1b[K" if self._live else line, file=sys.stderr, flush=True)
