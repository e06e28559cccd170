"""Images for a stack on AWS: the training image, and those of others, in the account's own registry."""

from __future__ import annotations

from bootstrap import ToolError


class ImagesError(ToolError):
    """An image could not be built, copied or pushed: one line with the remedy."""
