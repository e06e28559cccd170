"""Time of the GPU check: one budget for all, a limit for each part."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_S = 3.0
"""A part that would get less is not started."""
RESERVE_S = 2.0
"""Kept back to end the last part and to write the results."""


@dataclass(slots=True)
class Budget:
    """`total_s` seconds from now on. `clock` returns seconds and never goes back."""

    total_s: float
    clock: Callable[[], float] = time.monotonic
    _begun: float = field(init=False)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def elapsed(self) -> float:
        """Seconds since the check began."""
        return self.clock() - self._begun

    def remaining(self) -> float:
        """Seconds left, 0 if none."""
        return max(0.0, self.total_s - self.elapsed())

    def limit(self, own_s: float) -> float:
        """Seconds that a part with a limit of its own may take now; 0: do not start it."""
        left = min(own_s, self.remaining() - RESERVE_S)
        return left if left >= LEAST_S else 0.0
