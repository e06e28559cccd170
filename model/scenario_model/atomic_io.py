"""Atomic, durable writes (temporary file, fsync, rename, fsync): readers see all or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scenario_model.errors import ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value to `path` atomically and durably."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Write UTF-8 text to `path` atomically and durably. `mode`: at most, as for open(2)."""
    write_bytes(path, text.encode("utf-8"), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write `path` atomically and durably. `mode`: at most, as for open(2)."""
    aside = path.with_name(f".{path.name}.writing")
    # What a killed writer left has its own mode.
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except BaseException:
        # On a full disk, what is half written would take the room of what follows.
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def publish(aside: Path, final: Path) -> None:
    """Publish a finished directory under its final name: sync everything, then one rename.

    `final` must not exist, or be an empty directory.
    """
    for path in sorted(aside.rglob("*")):
        sync(path)
    sync(aside)
    aside.rename(final)
    sync(final.parent)


def sync(path: Path) -> None:
    """Flush a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fresh(aside: Path) -> Path:
    """An empty directory at `aside`; leftovers of an interrupted writer are removed."""
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    return aside


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full disk, exceeded quota or missing permission below `where` into one clear error."""
    try:
        yield
    except Exception as error:
        reason = _disk_reason(error)
        if reason is None:
            raise
        remedy = "free some space or choose another place, then run it again: completed work is kept"
        raise ScenarioModelError(reason, where=str(where), remedy=remedy) from error


def _disk_reason(error: Exception) -> str | None:
    codes = {
        errno.ENOSPC: "no space left on the disk",
        errno.EDQUOT: "the disk quota is used up",
        errno.EACCES: "no permission to write",
        errno.EPERM: "no permission to write",
        errno.EROFS: "the file system is read-only",
        errno.EIO: "the disk reports an input/output error",
        errno.EFBIG: "a file would be larger than allowed",
    }
    if isinstance(error, OSError):
        return codes.get(error.errno or 0)
    # safetensors writes in Rust and reports the error number in its message only.
    return next((text for code, text in codes.items() if f"(os error {code})" in str(error)), None)
