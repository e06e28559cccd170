"""The folder of a group's programs: from PATH, the cache, the official release, or a build; in that order."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from bootstrap import BootstrapError
from bootstrap.archive import take_files
from bootstrap.cache import exclusive, keep, workspace
from bootstrap.console import say
from bootstrap.release_asset import fetch_verified, published_checksum
from lab import LabError, lab_cache
from lab.binaries.build import build
from lab.binaries.groups import GROUPS, Group
from lab.binaries.installed import on_path

if TYPE_CHECKING:
    from pathlib import Path

_SOURCES = ("path", "download", "build")


def programs(name: str) -> Path:
    """Return the folder with the executables of a group (see `groups.py`), creating it if needed.

    A second caller waits for the first. Interrupted work is resumed. `LAB_SOURCE` limits the source to
    "path", "download" or "build". Raises LabError with the remedy in one line.
    """
    source = os.environ.get("LAB_SOURCE", "")
    if source not in {"", *_SOURCES}:
        raise LabError(f"unknown LAB_SOURCE={source}", remedy=f"use {', '.join(_SOURCES)}, or leave it empty")
    if name not in GROUPS:
        raise LabError(f"unknown programs {name}", remedy=f"use one of {', '.join(GROUPS)}")
    group = GROUPS[name]
    if source in {"", "path"} and (found := on_path(group)):
        say(f"lab: {name} from PATH, {found}")
        return found
    if source == "path":
        raise LabError(f"no recent enough {name} on PATH", remedy="install it, or leave LAB_SOURCE empty")
    target = lab_cache() / "binaries" / f"{name}-{group.version}"
    if _whole(target, group):
        return target
    with exclusive(target.with_name(f"{name}.lock"), f"preparing {name} {group.version}"):
        return target if _whole(target, group) else _made(name, group, target, source)


def _whole(folder: Path, group: Group) -> bool:
    wanted = [*group.programs, "charts"] if group.charts else group.programs
    return all((folder / each).exists() for each in wanted)


def _made(name: str, group: Group, target: Path, source: str) -> Path:
    with workspace(target) as folder:
        made = folder / "bin"
        made.mkdir(exist_ok=True)
        try:
            if source != "build" and group.release:
                try:
                    _download(name, group, folder)
                    return keep(made, target)
                except BootstrapError as error:
                    if source == "download":
                        raise
                    say(f"lab: no download of {name}: {error}")
            build(name, group, made)
        except BootstrapError as error:
            raise LabError(f"{name} {group.version} is unavailable: {error}") from None
        return keep(made, target)


def _download(name: str, group: Group, folder: Path) -> None:
    """Download the release's programs into `bin` below the folder. Raises BootstrapError, also if no file matches."""
    release = group.release
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if release is None or arch is None:
        raise BootstrapError(f"{name} publishes no programs for {platform.machine()}")
    told = {"version": group.version, "arch": arch}
    base = release.base.format(**told)
    for file, program in zip(release.files, group.programs, strict=False):
        published = file.format(**told)
        sums = f"{base}/{release.checksums.format(file=published, **told)}"
        whole = fetch_verified([base], published, published_checksum(sums, published), folder)
        if release.members:
            members = dict(zip(release.members, group.programs, strict=True))
            take_files(whole, {key.format(**told): value for key, value in members.items()}, folder / "bin")
        else:
            whole.chmod(0o755)
            whole.rename(folder / "bin" / program)
