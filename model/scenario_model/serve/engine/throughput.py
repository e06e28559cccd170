"""The engine's counters and rates: the source of its statistics and of Retry-After."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# Weight of the newest value in the moving averages.
_NEW = 0.1


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
    _usual_steps: float = 64.0

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
        self._usual_steps += _NEW * (steps - self._usual_steps)

    def seconds_until_free(self, waiting: int) -> float:
        """Estimate the seconds until one of `waiting` requests leaves the queue; at least 1."""
        rounds = max(waiting, 1) / self.slots
        return max(1.0, rounds * self._usual_steps * self._usual_step)
