"""Distribution packages from this machine's apt, for hosts of the same release.

Two parts. The load balancer and its libraries are not installed: hosts unpack them below the scenario's own
folder. The packages that roles install on managed hosts are included with all dependencies that a minimal
host may lack.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from bootstrap.console import say
from bundle import BundleError

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS = ("haproxy",)
_DEPENDS = re.compile(r"^ +Depends: ([a-z0-9][a-z0-9.+-]+)$", re.MULTILINE)
_BASIS = ("libc6",)
"""Every host has its own; it must be at least as new as this machine's."""
_HOST_PACKAGES = ("nftables", "systemd-timesyncd", "prometheus", "prometheus-node-exporter")
"""Packages that the roles `egress`, `base` and `monitoring` install from the distribution."""
_ON_EVERY_HOST = ("?priority(required)", "?essential")


def fetch(target: Path) -> None:
    """Download the balancer, and record the release that its libraries are of; does nothing without apt.

    Raises BundleError if apt does not find it.
    """
    if not _has_apt():
        say(
            f"bundle: apt not found, skipping {', '.join(_PROGRAMS)}; install it on the balancer host yourself"
        )
        return
    _download(_with_libraries(), target)
    _record_release(target)


def fetch_for_hosts(target: Path) -> None:
    """Download the packages for managed hosts, and record their release; does nothing without apt.

    Raises BundleError if apt does not find one of the packages.
    """
    if not _has_apt():
        say(
            f"bundle: apt not found, skipping {', '.join(_HOST_PACKAGES)}; install them on the hosts yourself"
        )
        return
    _download(_lacking_on_a_bare_host(), target)
    _record_release(target)


def _record_release(target: Path) -> None:
    """Name this machine's release next to its packages: hosts of another one lack the libraries for them."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    (target / "release").write_text(f"{release}\n", encoding="ascii")


def _has_apt() -> bool:
    return all(shutil.which(program) for program in ("apt-get", "apt-cache"))


def _download(names: list[str], target: Path) -> None:
    target.mkdir()
    _run(["apt-get", "--quiet", "--quiet", "download", *names], target)


def _with_libraries() -> list[str]:
    """Return the programs' packages and, recursively, those of their libraries."""
    found: list[str] = []
    level = list(_PROGRAMS)
    while level:  # one call for all: each one reads all of apt's lists
        found += level
        needed = dict.fromkeys(_DEPENDS.findall(_run(["apt-cache", "depends", *level])))
        level = [name for name in needed if name.startswith("lib") and name not in (*found, *_BASIS)]
    return found


def _lacking_on_a_bare_host() -> list[str]:
    """Return the hosts' packages and their dependencies, except what every host has."""
    return sorted(_installed_with(*_HOST_PACKAGES) - _installed_with(*_ON_EVERY_HOST))


def _installed_with(*names: str) -> set[str]:
    """Return all that apt would install with these on an empty machine."""
    nothing = ["--option", "Dir::State::status=/dev/null", "--no-install-recommends", "--simulate"]
    told = _run(["apt-get", *nothing, "install", *names])
    return set(re.findall(r"^Inst (\S+)", told, re.MULTILINE))


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no word"]
        raise BundleError(f"{' '.join(command[:4])} …: {words[-1]}", remedy="run apt-get update first")
    return done.stdout
