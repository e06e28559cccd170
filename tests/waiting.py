"""Waiting for what comes true by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def until(true: Callable[[], Any], *, timeout_s: float = 60.0) -> None:
    """Wait for a condition that comes true within this time."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not so after {timeout_s:.0f} s"
        time.sleep(0.2)
