"""Commands that find and repair what a killed update left in a cloud. They use only the cloud's API, not Pulumi."""

from __future__ import annotations

from bootstrap import ToolError


class RecoveryError(ToolError):
    """The cloud does not answer, or a command's input is invalid."""
