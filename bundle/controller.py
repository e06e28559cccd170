"""What the controller itself needs: the Pulumi engine, and the packages of `.venv` for `make up`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bundle.wheels import REQUIREMENTS, fetch
from engine import PROGRAMS
from engine.__main__ import kept_engine
from engine.bundled import PART

if TYPE_CHECKING:
    from pathlib import Path


def add_controller(bundle: Path) -> None:
    """Put the controller's part into a bundle. Raises BundleError or EngineError where it cannot be had."""
    engine = bundle / PART / "engine"
    engine.mkdir(parents=True)
    found = kept_engine()
    for name in PROGRAMS:
        shutil.copy2(found / name, engine / name)
    for name in ("control", "uv"):
        fetch((REQUIREMENTS / f"{name}.lock").read_text(encoding="utf-8"), bundle / PART / "wheels")
