"""What the tools of this tree share: console, cache, downloads, Go builds; `bootstrap.pulumi` is Pulumi's engine.

Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 the first thing a user of an older Python should read
    sys.exit(
        "Python "
        + sys.version.split()[0]
        + " is too old: 3.11 or newer is needed (make PYTHON=python3.12 ...)"
    )


class ToolError(Exception):
    """An error that a tool shows to its user: one line that names what is wrong and the remedy."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        """Join both parts into that line."""
        super().__init__(f"{what}; {remedy}" if remedy else what)


class BootstrapError(ToolError):
    """A program or package source is not available."""
