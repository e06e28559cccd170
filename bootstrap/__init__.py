"""Shared by the tools of this tree: console, cache, downloads, Go builds; `bootstrap.pulumi` is Pulumi's
engine.

Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 users of an older Python must see this first
    sys.exit(
        "Python " + sys.version.split()[0] + " is too old; use 3.11 or newer (make PYTHON=python3.12 ...)"
    )


class ToolError(Exception):
    """An error shown to the user: one line with the cause and the remedy."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        """Join both parts into that line."""
        super().__init__(f"{what}; {remedy}" if remedy else what)


class BootstrapError(ToolError):
    """A program or package source is not available."""
