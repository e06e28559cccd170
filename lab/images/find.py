"""An image's archive: in the user's cache under a digest of its content, built if missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from bootstrap.cache import exclusive
from bootstrap.console import Progress
from lab import LabError, lab_cache
from lab.images.envoy import EnvoyImage
from lab.images.model import ModelImage
from lab.images.recipes import RECIPES

if TYPE_CHECKING:
    from pathlib import Path


class _Recipe(Protocol):
    def reference(self, name: str) -> str: ...
    def digest(self, name: str) -> str: ...
    def make(self, name: str, target: Path) -> None: ...


_ALL: dict[str, _Recipe] = {**RECIPES, "envoy": EnvoyImage(), "model": ModelImage()}


def reference(name: str) -> str:
    """Return the image's name for pods. Raises LabError if the image is unknown."""
    return _recipe(name).reference(name)


def image(name: str) -> Path:
    """Return the image's archive, for `ctr image import`; outdated ones are removed.

    A second caller waits for the first. Raises LabError with the remedy in one line.
    """
    recipe = _recipe(name)
    folder = lab_cache() / "images"
    target = folder / f"{name}-{recipe.digest(name)[:16]}.tar"
    if target.exists():
        return target
    with exclusive(folder / f"{name}.lock", f"building the image {name}"):
        if not target.exists():
            for stale in folder.glob(f"{name}-*.tar*"):
                stale.unlink()
            progress = Progress(f"image {recipe.reference(name)}")
            unfinished = target.with_name(f"{target.name}.unfinished")
            recipe.make(name, unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.rename(target)
            progress.done(f"{target.stat().st_size / 1e6:.0f} MB")
    return target


def _recipe(name: str) -> _Recipe:
    if name not in _ALL:
        raise LabError(f"unknown image {name}", remedy=f"use one of {', '.join(_ALL)}")
    return _ALL[name]
