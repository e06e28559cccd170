"""Selects the store for a location: `s3://bucket/prefix` is in a bucket, everything else a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_model.release.store import FolderStore

if TYPE_CHECKING:
    from scenario_model.release.store import Store


def open_store(where: str, cache: Path | None = None) -> Store:
    """The store at `where`. `cache`: local cache of releases from a bucket.

    Default: `scenario-model/releases` below XDG_CACHE_HOME or ~/.cache. Raises InputError for a bucket that
    does not exist, is in another region, or cannot be read.
    """
    if not where.startswith("s3://"):
        return FolderStore(Path(where))
    # Imported lazily: boto3 is optional, and takes half a second to import.
    from scenario_model.cloud.bucket import Bucket
    from scenario_model.release.s3_store import S3Store

    bucket = Bucket(where)
    bucket.check()
    # Per bucket, because two may contain the same release signed by different keys.
    place = hashlib.sha256(bucket.uri.encode()).hexdigest()[:16]
    return S3Store(bucket, (cache or _cache()) / place)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "scenario-model" / "releases"
