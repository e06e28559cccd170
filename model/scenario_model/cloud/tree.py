"""Downloads a tree of files from a bucket into a folder, resuming where a killed reader stopped."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scenario_model import atomic_io
from scenario_model.digests import file_digest
from scenario_model.errors import InputError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scenario_model.cloud.bucket import Bucket

_MOST_FILES = 10_000


def bring(bucket: Bucket, folder: Path, check_name: Callable[[str], None]) -> None:
    """Make `folder` contain exactly the objects of `bucket`, each as a file named by its key.

    `check_name` refuses a key that is not a valid file name, before a file is created. Raises InputError if
    there are no objects; Refused, by name, for an object that differs from its recorded digest.
    """
    wanted = bucket.sizes()
    if not wanted:
        raise InputError("holds nothing", where=bucket.uri, remedy="check the prefix")
    if len(wanted) > _MOST_FILES:
        raise Refused(f"contains more than {_MOST_FILES} objects", where=bucket.uri)
    for key in wanted:
        check_name(key)
    with atomic_io.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        for key in wanted:
            _bring_one(bucket, key, folder / key)


@contextmanager
def aside(final: Path) -> Iterator[Path | None]:
    """A folder to fill, which is then renamed to `final`; None if `final` exists.

    One process at a time; the others wait. A killed process's partial content is reused. It is removed if
    filling it ends in a permanent error.
    """
    with atomic_io.disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        lock = (final.parent / f".{final.name}.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            yield None
            return
        draft = final.parent / f".{final.name}.incoming"
        try:
            yield draft
        except Refused:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        with atomic_io.disk_errors(final):
            atomic_io.publish(draft, final)


def _bring_one(bucket: Bucket, key: str, path: Path) -> None:
    noted = bucket.describe(key)
    if noted is not None and path.is_file() and noted.digest == file_digest(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    bucket.download(key, path)
    if noted is not None and noted.digest not in (None, file_digest(path)):
        raise Refused("content differs from what was uploaded", where=f"{bucket.uri}/{key}")
