"""Maintenance windows: when a site lets itself be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_MINUTES = 60


def is_open(windows: Sequence[str], at: datetime) -> bool:
    """Whether `at` (UTC) is within one of the windows, such as 22:00-05:30; without windows it always is."""
    if not windows:
        return True
    now = at.hour * _MINUTES + at.minute
    return any(_contains(window, now) for window in windows)


def _contains(window: str, now: int) -> bool:
    start, end = map(_minutes, window.split("-"))
    # One that ends before it starts spans midnight.
    return start <= now < end if start < end else now >= start or now < end


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * _MINUTES + int(minutes)
