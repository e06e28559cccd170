"""Commands that find and mend what a killed update left in a cloud. They use the cloud's API alone, no Pulumi."""

from __future__ import annotations

from bootstrap import ToolError


class RecoveryError(ToolError):
    """The cloud does not answer, or what comes in is not what a command needs."""
