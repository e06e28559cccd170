"""The machine that runs Pulumi: its Python environment, its state folder, and what `make` does with them.

Standard library only, and free of torch, Pulumi's SDK and Ansible: it runs before any of them is there.
"""

from __future__ import annotations

from pathlib import Path

from bootstrap import ToolError

ROOT = Path(__file__).resolve().parent.parent
"""The working tree; everything made here lies below it, but for the engine in the user's cache."""

PROJECT = "model-deployment-scenarios"


class CliError(ToolError):
    """What `make` was asked for cannot be done."""
