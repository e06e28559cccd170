"""Finds or builds the Pulumi engine: the `pulumi` command and its Python language host.

`python3 -m bootstrap.pulumi` prints the folder to put on PATH.
"""

from __future__ import annotations

VERSION = "3.259.0"
"""The release that is downloaded or built: the newest whose Go modules are complete."""

MINIMUM = (3, 259, 0)
"""The oldest release accepted from PATH: the oldest one the stacks were tested with."""

PROGRAMS = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)
"""Programs that must be in one folder for a Python program with dynamic resources."""
