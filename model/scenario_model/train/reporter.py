"""Progress of a run: a rewritten line on a terminal, JSON lines elsewhere, and progress.jsonl."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from scenario_model import atomic_io, logs

if TYPE_CHECKING:
    from pathlib import Path


class Reporter:
    """Reports a run's progress on `stream` (None: in the log), and records each step in progress.jsonl."""

    def __init__(self, path: Path, first_step: int, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._live = logs.live() if stream is None else stream.isatty()
        self._path, self._open = path, False
        # Steps after the checkpoint are repeated; a kill may have truncated the last line.
        atomic_io.write_text(path, "".join(_kept_lines(path, first_step)))

    def step(self, **figures: Any) -> None:
        """One step: step, of, loss, learning_rate, tokens_per_s, mfu (or None), memory_bytes,
        seconds_left."""
        line = json.dumps(figures)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        if self._live:
            print(f"\r\033[K{_words(figures)}", end="", file=self._stream or sys.stderr, flush=True)
            self._open = True
        elif self._stream is None:
            logs.figures("step", **figures)
        else:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """End the rewritten line."""
        if self._open:
            print(file=self._stream or sys.stderr)
            self._open = False


class Clock:
    """Tokens per second over the last steps, and the remaining time."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = [(time.perf_counter(), 0)]

    def after(self, tokens: int) -> float:
        """Add `tokens`; returns tokens per second over the last eight steps."""
        self._marks.append((time.perf_counter(), self._marks[-1][1] + tokens))
        del self._marks[:-9]
        (begun, before), (now, total) = self._marks[0], self._marks[-1]
        return (total - before) / max(now - begun, 1e-9)


def _kept_lines(path: Path, first_step: int) -> list[str]:
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            if json.loads(line)["step"] <= first_step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    return kept


def _words(figures: dict[str, Any]) -> str:
    mfu = "" if figures["mfu"] is None else f" ({figures['mfu']:.0%} of matmul peak)"
    minutes, seconds = divmod(int(figures["seconds_left"]), 60)
    return (
        f"step {figures['step']}/{figures['of']}  loss {figures['loss']:.3f}  "
        f"{figures['tokens_per_s']:.0f} tokens/s{mfu}  "
        f"{figures['memory_bytes'] / 2**30:.1f} GiB  {minutes}:{seconds:02d} left"
    )
