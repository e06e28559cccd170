"""`python -m benchmarks.gpu.resume_runs CONFIG[:STEP:SIGNAL]…`: training runs in this process, in turn.

With a step and a signal the process sends itself that signal once it has reported the step, before the
step's checkpoint. A run that ends by SIGTERM is saved and the next one begins.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

from scenario_model.config import load_file
from scenario_model.train.hooks import TrainingHooks
from scenario_model.train.loop import StoppedError
from scenario_model.train.plan import make_plan
from scenario_model.train.run import train
from scenario_model.train.settings import TrainSettings


class _Watch(io.StringIO):
    """Takes the lines of progress, one per step, and sends a signal after `step` of them; 0: never."""

    def __init__(self, step: int, number: int) -> None:
        super().__init__()
        self._left, self._signal = step, number

    def write(self, text: str) -> int:
        self._left -= "\n" in text
        if "\n" in text and self._left == 0:
            os.kill(os.getpid(), self._signal)
        return len(text)


def main() -> None:
    """Train by each configuration."""
    for argument in sys.argv[1:]:
        config, _, cut = argument.partition(":")
        step, _, name = cut.partition(":")
        watch = _Watch(int(step or 0), signal.Signals[name] if name else 0)
        try:
            train(make_plan(load_file(TrainSettings, Path(config))), hooks=TrainingHooks(progress=watch))
        except StoppedError as stopped:
            print(stopped, file=sys.stderr)


if __name__ == "__main__":
    main()
