"""The CNCF's registry, a store with a release, and our client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from scenario_model.release.oci_reference import Reference
from scenario_model.release.oci_registry import Registry
from scenario_model.release.store import FolderStore
from tests.model.release.oci.world import RunningRegistry, program, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def running(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with registry(program(cache, "registry"), tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No credentials, a cache of one's own, and pauses that are noted instead of made."""
    pauses: list[float] = []
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("scenario_model.release.oci_registry.time.sleep", pauses.append)
    monkeypatch.setattr("scenario_model.release.oci_download.time.sleep", pauses.append)
    return pauses


@pytest.fixture
def released(pristine_release: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A store with a release, and its name."""
    directory, name = pristine_release
    FolderStore(tmp_path / "store").upload(name, directory)
    return tmp_path / "store", name


@pytest.fixture
def opened() -> Iterator[Callable[[str], Registry]]:
    """Our client for a reference."""
    with contextlib.ExitStack() as stack:

        def open_one(reference: str) -> Registry:
            made = Registry(Reference.parse(reference), plain_http=True)
            stack.callback(made.close)
            return made

        yield open_one
