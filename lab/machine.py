"""The lab's requirements on the machine: checked before anything is created, and to skip tests."""

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
"""Programs that the lab calls, with their Debian packages."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Keyring that verifies the base tree's packages."""

COMPILER = ("gcc", "libc6-dev", "libseccomp-dev", "pkg-config")
"""Packages to build runc if its release cannot be downloaded."""

PACKAGES = sorted({*PROGRAMS.values(), "debian-archive-keyring", *COMPILER})
"""What `make lab-deps` installs."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require() -> None:
    """Raise LabError, in one line with its remedy, if the machine lacks what the lab needs."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root, for namespaces and mounts", remedy="sudo make lab")
    # sudo and cron may omit the folders of system programs from PATH.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH])
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not KEYRING.exists():
        missing.append("debian-archive-keyring")
    if missing:
        raise LabError(f"Debian packages are missing: {', '.join(missing)}", remedy="make lab-deps")
    hierarchy()
    run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"],
        remedy="this machine does not allow namespaces (an unprivileged container?); use a virtual machine",
    )


def give_to_caller(*paths: Path) -> None:
    """Make the user who called sudo the owner; does nothing without sudo."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    for path in paths if user and group else ():
        shutil.chown(path, int(user or 0), int(group or 0))


def lacking() -> str:
    """Return why the lab cannot run here; empty if it can."""
    try:
        require()
    except LabError as error:
        return str(error)
    return ""
