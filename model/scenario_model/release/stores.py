"""Which store a place means: `s3://bucket/prefix` is one in a bucket, everything else a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_model.release.store import FolderStore

if TYPE_CHECKING:
    from scenario_model.release.store import Store


def open_store(where: str, cache: Path | None = None) -> Store:
    """The store at `where`. `cache`: where releases out of a bucket are kept on this machine.

    Default: `scenario-model/releases` below XDG_CACHE_HOME or ~/.cache. Raises InputError for a bucket that
    is not there, not in this region, or not to be read.
    """
    if not where.startswith("s3://"):
        return FolderStore(Path(where))
    # Only now: boto3 is an extra, and takes half a second to import.
    from scenario_model.cloud.bucket import Bucket
    from scenario_model.release.s3_store import S3Store

    bucket = Bucket(where)
    bucket.check()
    # By bucket, because two may hold the same release under signatures of two keys.
    place = hashlib.sha256(bucket.uri.encode()).hexdigest()[:16]
    return S3Store(bucket, (cache or _cache()) / place)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "scenario-model" / "releases"
