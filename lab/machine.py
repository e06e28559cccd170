"""What the lab needs of the machine: asked before anything is made, and the reason for tests to skip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab import LabError
from lab.cgroups import hierarchy
from lab.commands import run

PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
}
"""Each program that the lab calls, and the Debian package that has it."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""What the base tree's packages are verified with."""

COMPILER = ("gcc", "libc6-dev", "libseccomp-dev", "pkg-config")
"""Packages that runc is built with where its release cannot be downloaded."""

PACKAGES = sorted({*PROGRAMS.values(), "debian-archive-keyring", *COMPILER})
"""What `make lab-deps` installs."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require() -> None:
    """Raise LabError, in one line with its remedy, where the machine cannot give what the lab needs."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root, for namespaces and mounts", remedy="sudo make lab")
    # sudo and cron may leave the folders of system programs out.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH])
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not KEYRING.exists():
        missing.append("debian-archive-keyring")
    if missing:
        raise LabError(f"Debian packages are missing: {', '.join(missing)}", remedy="make lab-deps")
    hierarchy()
    run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"],
        remedy="this machine gives out no namespaces (an unprivileged container?); use a virtual machine",
    )


def give_to_caller(*paths: Path) -> None:
    """Make the person who called sudo the owner; without sudo nothing changes."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    for path in paths if user and group else ():
        shutil.chown(path, int(user or 0), int(group or 0))


def lacking() -> str:
    """Return why the lab cannot run here; empty where it can."""
    try:
        require()
    except LabError as error:
        return str(error)
    return ""
