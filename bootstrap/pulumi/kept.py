"""Where the cache holds Pulumi's engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootstrap.cache import cache_folder
from bootstrap.pulumi import VERSION

if TYPE_CHECKING:
    from pathlib import Path


def pulumi_cache() -> Path:
    """Return the folder of engines and plugins."""
    return cache_folder() / "pulumi"


def kept(source: str) -> Path:
    """Return the folder of the finished engine from one source (`download`, `build`)."""
    return pulumi_cache() / VERSION / source
