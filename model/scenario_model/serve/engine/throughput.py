"""The engine's counters and rates: the source of its statistics and of Retry-After."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Weight of the newest value in the moving averages.
_NEW = 0.1
# A longer one would be no better known.
LONGEST_WAIT = 3600.0


class Expected:
    """The expected size of an answer, in steps or seconds, from those that ended and those under way.

    Averaging only those that ended would say too little while long answers run. With sizes that are distributed
    exponentially, the total of all divided by the number that ended is the most likely mean (censored data); older
    answers count for less.
    """

    def __init__(self, first_guess: float) -> None:
        """`first_guess` counts as one answer."""
        self._total, self._ended = first_guess, 1.0

    def ended(self, size: float) -> None:
        """Count one that ended."""
        self._total = (1 - _NEW) * self._total + size
        self._ended = (1 - _NEW) * self._ended + 1

    def size(self, under_way: Iterable[float] = ()) -> float:
        """Return it, given the sizes so far of those under way."""
        return (self._total + sum(under_way)) / self._ended


@dataclass(slots=True)
class Throughput:
    """Counters (they only grow) and moving averages. Times in seconds."""

    slots: int
    prompt_tokens: int = 0
    generated_tokens: int = 0
    drafts: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    last_step_seconds: float = 0.0
    last_step_at: float = field(default_factory=time.monotonic)
    _usual_step: float = 0.1
    _steps: Expected = field(default_factory=lambda: Expected(64.0))

    def note(self, prompt_tokens: int, seconds: float) -> None:
        """Count one step."""
        self.prompt_tokens += prompt_tokens
        self.steps += 1
        self.step_seconds += seconds
        self.last_step_seconds = seconds
        self.last_step_at = time.monotonic()
        self._usual_step += _NEW * (seconds - self._usual_step)

    def note_tokens(self, generated: int, drafted: int, accepted: int) -> None:
        """Count a step's tokens of one answer, and the correct ones of its draft."""
        self.generated_tokens += generated
        self.drafts += drafted > 0
        self.drafted_tokens += drafted
        self.accepted_tokens += accepted

    def note_end(self, steps: int) -> None:
        """Count one finished answer that took `steps` steps."""
        self._steps.ended(steps)

    def seconds_of_queue(
        self, running: Sequence[tuple[int, int]], waiting: Sequence[int], prompt_steps: float
    ) -> float:
        """Estimate the seconds until all requests here have their answers; 1 to 3,600.

        running: steps so far, and tokens that may follow, of each. waiting: tokens that each may have.
        prompt_steps: steps that their prompts take.
        """
        expected = self._steps.size(steps for steps, _ in running)
        following = [left for _, left in running] + list(waiting)
        steps = sum(min(expected, left) for left in following) / self.slots + prompt_steps
        return min(max(1.0, steps * self._usual_step), LONGEST_WAIT)
