"""An image's archive: kept in the user's cache under a digest of its content, made where there is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from bootstrap.cache import exclusive
from bootstrap.console import Progress
from lab import LabError, lab_cache
from lab.images.model import ModelImage
from lab.images.recipes import RECIPES

if TYPE_CHECKING:
    from pathlib import Path


class _Recipe(Protocol):
    def reference(self, name: str) -> str: ...
    def digest(self, name: str) -> str: ...
    def make(self, name: str, target: Path) -> None: ...


_ALL: dict[str, _Recipe] = {**RECIPES, "model": ModelImage()}


def reference(name: str) -> str:
    """Return the name by which pods ask for the image. Raises LabError where there is no such image."""
    return _recipe(name).reference(name)


def image(name: str) -> Path:
    """Return the image's archive, for `ctr image import`; one of other content is removed.

    A second caller waits for the first. Raises LabError in one line that names the remedy.
    """
    recipe = _recipe(name)
    folder = lab_cache() / "images"
    target = folder / f"{name}-{recipe.digest(name)[:16]}.tar"
    if target.exists():
        return target
    with exclusive(folder / f"{name}.lock", f"making the image {name}"):
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
        raise LabError(f"no image is called {name}", remedy=f"there are {', '.join(_ALL)}")
    return _ALL[name]
