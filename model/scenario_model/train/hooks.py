"""What a training run may be told by whoever starts it in a place that can be taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


class Copies(Protocol):
    """Keeps copies of checkpoints where they outlive this machine. The leader alone calls it."""

    def keep(self, checkpoint: Path) -> None:
        """Copy the checkpoint's folder, which stays as it is until the one after the next is kept."""

    def settle(self) -> None:
        """Return when nothing is being copied any more: the folder may go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHooks:
    """`copies`: of checkpoints. `save_before`: stop so early that the last checkpoint is on the disk by then.

    `progress`: where a line of progress a step goes; None: the log.
    """

    copies: Copies | None = None
    save_before: datetime | None = None
    progress: TextIO | None = None


NO_HOOKS = TrainingHooks()
