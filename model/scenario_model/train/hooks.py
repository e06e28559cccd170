"""Hooks for training runs on preemptible machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path


class Copies(Protocol):
    """Copies checkpoints to where they outlive this machine. Only the leader calls it."""

    def keep(self, checkpoint: Path) -> None:
        """Copy the checkpoint's folder, which stays unchanged until the next but one is copied."""

    def settle(self) -> None:
        """Wait for copies in progress: then the folder may be removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHooks:
    """`copies`: of checkpoints. `save_before`: stop early enough for the last checkpoint to be on disk by then.

    `progress`: stream for one progress line per step; None: the log. `begins`: called in the leader once all processes
    are there; if it raises Refused, all of them end with that.
    """

    copies: Copies | None = None
    save_before: datetime | None = None
    progress: TextIO | None = None
    begins: Callable[[], None] | None = None


NO_HOOKS = TrainingHooks()
