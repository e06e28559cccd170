"""Finds or makes the Pulumi engine: the `pulumi` command and its Python language host.

Standard library only, so that it runs before anything is installed: `python3 -m engine` prints the
folder to put on PATH.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 the first thing a user of an older Python should read
    sys.exit(
        "Python "
        + sys.version.split()[0]
        + " is too old: 3.11 or newer is needed (make PYTHON=python3.12 ...)"
    )

VERSION = "3.259.0"
"""The release that is downloaded or built: the newest whose Go modules are complete."""

MINIMUM = (3, 259, 0)
"""The oldest release accepted from PATH: the oldest one that the stacks were tried with."""

PROGRAMS = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)
"""What has to lie side by side for a Python program with dynamic resources."""


class EngineError(Exception):
    """The engine cannot be had; one line that names what is wrong and the remedy."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        """Join both parts into the one line that the user sees."""
        super().__init__(f"{what}; {remedy}" if remedy else what)


def version_of(text: str) -> tuple[int, ...] | None:
    """Read `v3.259.0` or `3.259.0-dev.0`; None where there is no version in it."""
    digits = text.strip().removeprefix("v").split("-")[0].split("+")[0].split(".")
    return tuple(int(part) for part in digits) if all(part.isdigit() for part in digits) else None
