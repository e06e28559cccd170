"""An own cache folder for every test of the engine, and small programs that answer as the engine does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootstrap.pulumi import PROGRAMS, VERSION


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that is empty, and no engine from the developer's own PATH."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Go's own cache stays the user's: what a real build takes minutes for was compiled before.
    monkeypatch.setenv("GOCACHE", os.environ.get("GOCACHE", str(users / "go-build")))
    for name in ("ENGINE_SOURCE", "ENGINE_MIRROR", "BUNDLE", "BUNDLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    kept = [p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "pulumi").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(kept))
    return tmp_path / "cache" / "model-deployment-scenarios" / "pulumi" / VERSION


def write_programs(folder: Path, *, version: str = VERSION, without: str = "") -> Path:
    """Write programs with the engine's names; `pulumi version` answers, as the real one does."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        if name != without:
            (folder / name).write_text(f"#!/bin/sh\necho v{version}\n")
            (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def programs() -> object:
    return write_programs
