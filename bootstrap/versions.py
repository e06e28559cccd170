"""Version numbers as programs print them."""

from __future__ import annotations


def version_of(text: str) -> tuple[int, ...] | None:
    """Read `v3.259.0` or `3.259.0-dev.0`; None if it contains no version."""
    digits = text.strip().removeprefix("v").split("-")[0].split("+")[0].split(".")
    return tuple(int(part) for part in digits) if all(part.isdigit() for part in digits) else None
