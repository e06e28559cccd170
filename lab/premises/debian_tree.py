"""The read-only Debian tree shared by all hosts: created once by debootstrap, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from bootstrap.cache import exclusive
from bootstrap.console import Progress, say
from lab import LabError, lab_cache
from lab.commands import run
from lab.machine import KEYRING
from lab.premises import USER

if TYPE_CHECKING:
    from pathlib import Path

# One of a hundred packages that did not come fails all of debootstrap.
_ATTEMPTS = 3
_SUITES = ("bookworm", "trixie")
_PACKAGES = (
    "ca-certificates",
    "dbus",
    "dbus-user-session",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",  # required for user service managers
    "nftables",
    "openssh-server",
    "python3",
    "python3-apt",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Host key, name, address and machine id are per host; update timers have no internet access.
_CUSTOMISE = f"""set -eu
useradd --create-home --shell /bin/bash --uid 1000 {USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}
chmod 440 /etc/sudoers.d/{USER}
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/machine-id /var/cache/apt/archives/*.deb
ln -sf /etc/machine-id /var/lib/dbus/machine-id
cat > /etc/ssh/sshd_config.d/10-lab.conf <<END
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
AllowUsers {USER}
PermitRootLogin no
PasswordAuthentication no
UseDNS no
END
systemctl --quiet enable systemd-networkd.service ssh.service
systemctl --quiet mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \\
    dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
"""

# In its own namespaces: a killed debootstrap leaves neither a mount nor a process behind.
_ALONE = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--",
)


def suite() -> str:
    """Return Debian's release of the hosts: `$LAB_DEBIAN`, or Debian 12. Raises LabError for another."""
    named = os.environ.get("LAB_DEBIAN", _SUITES[0])
    if named not in _SUITES:
        raise LabError(f"LAB_DEBIAN={named}: the hosts are built for {' or '.join(_SUITES)}")
    return named


def recipe() -> str:
    """Return the digest of everything that determines the tree, except the mirror's date."""
    parts = [suite(), _PACKAGES, _CUSTOMISE, os.uname().machine]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def base_tree() -> Path:
    """Return the tree, creating it if the cache has none for this recipe.

    Raises LabError if there is no mirror or debootstrap fails. An interrupted run leaves a temporary folder,
    which the next one removes.
    """
    tree = lab_cache() / f"{suite()}-{recipe()}"
    with exclusive(lab_cache() / "base.lock", "building the Debian tree"):
        if not tree.is_dir():
            _make(tree)
    return tree


def _make(tree: Path) -> None:
    source = mirror()
    aside = tree.with_name(f"{suite()}.unfinished")
    say(f"building a Debian {suite()} tree, 300 MB, from {source}: about two minutes, once")
    progress = Progress("Debian tree")
    for left in reversed(range(_ATTEMPTS)):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            _debootstrap(aside, source, progress)
            break
        except LabError as error:
            if not left:
                raise
            say(f"lab: {error}; trying again")
    progress.update("customising")
    run([*_ALONE, "chroot", str(aside), "/bin/sh"], stdin=_CUSTOMISE, timeout_s=120)
    run(["sync", "--file-system", str(aside)], timeout_s=600)
    aside.rename(tree)
    progress.done(str(tree))


def _debootstrap(aside: Path, source: str, progress: Progress) -> None:
    command = ["debootstrap", "--force-check-gpg", f"--keyring={KEYRING}", "--variant=minbase"]
    command += [f"--include={','.join(_PACKAGES)}", suite(), str(aside), source]
    last: list[str] = []
    with subprocess.Popen(  # noqa: S603
        [*_ALONE, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            last = [*last[-2:], line.strip().removeprefix("I: ")]
            progress.update(last[-1][:70])
    if process.returncode:
        remedy = "set LAB_DEBIAN_MIRROR to a reachable mirror"
        raise LabError(f"debootstrap failed: {' | '.join(last)}", remedy=remedy)


def mirror() -> str:
    """Return the mirror: `$LAB_DEBIAN_MIRROR`, or this machine's own apt mirror.

    Raises LabError if apt has none.
    """
    if named := os.environ.get("LAB_DEBIAN_MIRROR"):
        return named
    fields = "$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)"
    try:
        known = run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    except LabError:
        known = ""
    targets = [line.split() for line in known.splitlines()]
    debian = [each for each in targets if len(each) == 4 and each[:2] == ["Debian", "main"]]
    # The archive with this machine's release has ours too; updates and security are elsewhere.
    plain = [each for each in debian if "-" not in each[2]]
    wanted = [each for each in plain if each[2] == suite()] or plain
    if not wanted:
        remedy = "run apt-get update, or set LAB_DEBIAN_MIRROR to the address of a Debian mirror"
        raise LabError(f"this machine's apt has no mirror of Debian {suite()}", remedy=remedy)
    return wanted[0][3]
