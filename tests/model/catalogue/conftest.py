"""A catalogue with two releases, its keys, and what a site that visits it sees."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.model.catalogue.world import World
from tests.model.release.conftest import key_pair, make_release, other_key_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

__all__ = ["key_pair", "make_release", "other_key_pair"]


@pytest.fixture(scope="session")
def pristine_world(
    tmp_path_factory: pytest.TempPathFactory,
    key_pair: KeyPair,
    make_release: Callable[..., tuple[Path, str]],
) -> World:
    """A catalogue that ring `first` has been led through: release 1, then release 2. Not to be changed."""
    world = World.created(tmp_path_factory.mktemp("world"), key_pair)
    for note in ("one", "two", "three"):
        world.add(*make_release(note=note))
    world.assign("first", 1)
    world.keep("earlier")
    world.assign("first", 2)
    return world


@pytest.fixture
def world(pristine_world: World, tmp_path: Path) -> World:
    """The same, to be changed."""
    shutil.copytree(pristine_world.folder, tmp_path / "world")
    return pristine_world.at(tmp_path / "world")
