"""Downloads an artifact's layers into a folder: continued after every interruption, hashed while they arrive."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from typing import TYPE_CHECKING

from scenario_model.errors import Refused, ScenarioModelError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scenario_model.release.oci_artifact import Layer
    from scenario_model.release.oci_registry import Registry

_ATTEMPTS = 8
_LONGEST_PAUSE = 30.0
_PIECE_BYTES = 1024 * 1024


def download(registry: Registry, layers: Mapping[str, Layer], folder: Path) -> int:
    """Make `folder` contain exactly the layers' files; return how many bytes were received.

    Raises Refused, by name, for content that differs from its digest; TemporaryError after several failures in a row
    without progress, and ScenarioModelError without room: what has arrived stays for the next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in layers:
            path.unlink()
    _require_room(layers, folder)
    return sum(_one(registry, layer, folder / path) for path, layer in sorted(layers.items()))


def _one(registry: Registry, layer: Layer, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    received, failures = 0, 0
    while True:
        before = target.stat().st_size if target.exists() else 0
        try:
            _continue(registry, layer, target)
        except TemporaryError:
            arrived = target.stat().st_size - before
            received += arrived
            failures = 1 if arrived else failures + 1
            if failures >= _ATTEMPTS:
                raise
            time.sleep(min(_LONGEST_PAUSE, 2.0 ** (failures - 1)))
        else:
            return received + layer.size - before


def _continue(registry: Registry, layer: Layer, target: Path) -> None:
    """Receive what is missing. Raises Refused, keeping nothing of a file that is not the layer's."""
    digest = hashlib.sha256()
    with target.open("a+b") as stream:
        stream.seek(0)
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
        size = stream.tell()
        try:
            for piece in registry.blob(layer.digest, size) if size < layer.size else ():
                size += len(piece)
                if size > layer.size:
                    break
                digest.update(piece)
                stream.write(piece)
        finally:
            stream.flush()
            os.fsync(stream.fileno())
    if size < layer.size:
        raise TemporaryError(f"ended after {size} of {layer.size} bytes", where=layer.path)
    if size > layer.size or f"sha256:{digest.hexdigest()}" != layer.digest:
        target.unlink()
        raise Refused("content differs from its digest", where=layer.path)


def _require_room(layers: Mapping[str, Layer], folder: Path) -> None:
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed, free = sum(layer.size for layer in layers.values()) - there, shutil.disk_usage(folder).free
    if needed > free:
        raise ScenarioModelError(
            f"has {free // 2**20} MiB free, and {needed // 2**20} MiB are needed",
            where=str(folder),
            remedy="free some space; what has arrived is kept",
        )
