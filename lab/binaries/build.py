"""Builds a group's programs from Go modules pinned by our go.sum."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap import BootstrapError
from bootstrap.go_build import Module, compile_module, source_of

if TYPE_CHECKING:
    from lab.binaries.groups import Group

MODULES = Path(__file__).parent / "go"


def build(name: str, group: Group, into: Path) -> None:
    """Compile the group's programs into the folder, and copy its charts there.

    Raises BootstrapError naming what is missing.
    """
    if group.cgo:
        _require_c()
    folder = MODULES / name
    compile_module(
        Module(
            folder=folder,
            title=f"{name} {group.version}",
            programs=group.programs,
            tags=group.tags,
            linked=tuple(each.format(version=group.version) for each in group.linked),
            cgo=group.cgo,
            expected=group.expected,
        ),
        into,
    )
    if group.charts:
        charts = into / "charts"
        shutil.rmtree(charts, ignore_errors=True)
        shutil.copytree(source_of(group.module, folder) / group.charts, charts, copy_function=shutil.copyfile)
        # Go's folders are read-only; the copy must be removable.
        for path in (charts, *charts.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def _require_c() -> None:
    """Require a C compiler and libseccomp. Raises BootstrapError with the remedy."""
    there = shutil.which("gcc") and shutil.which("pkg-config")
    if not there or subprocess.run(["pkg-config", "--exists", "libseccomp"], check=False).returncode:  # noqa: S607
        raise BootstrapError("gcc, pkg-config or libseccomp's headers are missing", remedy="make lab-deps")
