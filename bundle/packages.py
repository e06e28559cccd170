"""Packages of the distribution, as this machine's apt has them: for hosts of the same release.

Two parts. A balancer's program and its libraries are not installed: hosts unpack them below the scenario's
own folder. What roles for the hosts themselves need is installed, with all that a bare host may lack for it.
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
"""Every host has its own, which must be as new as this machine's."""
_HOST_PACKAGES = ("nftables", "systemd-timesyncd", "prometheus", "prometheus-node-exporter")
"""What the roles `egress`, `base` and `monitoring` install from the distribution."""
_ON_EVERY_HOST = ("?priority(required)", "?essential")


def fetch(target: Path) -> None:
    """Download the balancer, as apt has it for this machine's release; nothing where there is no apt.

    Raises BundleError where apt finds it nowhere.
    """
    if not _has_apt():
        say(f"bundle: no apt here, so {', '.join(_PROGRAMS)} stays out; a host that balances needs its own")
        return
    _download(_with_libraries(), target)


def fetch_for_hosts(target: Path) -> None:
    """Download what the hosts themselves need, and note the release that it is for; nothing without apt.

    Raises BundleError where apt finds one of the packages nowhere.
    """
    if not _has_apt():
        say(f"bundle: no apt here, so {', '.join(_HOST_PACKAGES)} stay out; hosts need their own")
        return
    _download(_lacking_on_a_bare_host(), target)
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    (target / "release").write_text(f"{release}\n", encoding="ascii")


def _has_apt() -> bool:
    return all(shutil.which(program) for program in ("apt-get", "apt-cache"))


def _download(names: list[str], target: Path) -> None:
    target.mkdir()
    _run(["apt-get", "--quiet", "--quiet", "download", *names], target)


def _with_libraries() -> list[str]:
    """Name the programs' packages and, through all levels, those of libraries."""
    found: list[str] = []
    level = list(_PROGRAMS)
    while level:  # one question for each: apt reads all of its lists for it
        found += level
        needed = dict.fromkeys(_DEPENDS.findall(_run(["apt-cache", "depends", *level])))
        level = [name for name in needed if name.startswith("lib") and name not in (*found, *_BASIS)]
    return found


def _lacking_on_a_bare_host() -> list[str]:
    """Name the hosts' packages and all that they need but for what every host has."""
    return sorted(_installed_with(*_HOST_PACKAGES) - _installed_with(*_ON_EVERY_HOST))


def _installed_with(*names: str) -> set[str]:
    """Name all that apt would install with these on a machine on which there is nothing."""
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
