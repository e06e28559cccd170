"""The control node's part: the Pulumi programs, and the packages of `.venv` for `make up`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bootstrap.pulumi import PROGRAMS
from bootstrap.pulumi.__main__ import kept_engine
from bootstrap.pulumi.bundled import PART
from bundle.wheels import REQUIREMENTS, fetch, prove

if TYPE_CHECKING:
    from pathlib import Path


def add_control_node(bundle: Path) -> None:
    """Put the control node's part into a bundle. Raises BundleError or BootstrapError if it is unavailable."""
    programs = bundle / PART / "pulumi"
    programs.mkdir(parents=True)
    found = kept_engine()
    for name in PROGRAMS:
        shutil.copy2(found / name, programs / name)
    for name in ("control", "uv"):
        lock = REQUIREMENTS / f"{name}.lock"
        fetch(lock.read_text(encoding="utf-8"), bundle / PART / "wheels")
        prove(lock, bundle / PART / "wheels")
