"""The machine that runs Pulumi: its Python environment, its state folder, and what `make` does with them.

Standard library only, without torch, Pulumi's SDK or Ansible: it runs before any of them is installed.
"""

from __future__ import annotations

from pathlib import Path

from bootstrap import ToolError

ROOT = Path(__file__).resolve().parent.parent
"""The working tree; everything created here is below it, except the engine in the user's cache."""

PROJECT = "model-deployment-scenarios"


class CliError(ToolError):
    """A `make` target cannot be carried out."""
