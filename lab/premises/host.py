"""One host: an overlay on the base tree with its own name, address and key, booted by systemd-nspawn."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import LabError, cgroups
from lab.premises.access import hang_up, make_key, private_key, ssh
from lab.premises.addresses import MAX_HOSTS, Addresses, host_name
from lab.premises.network import BRIDGE
from lab.side import premises_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.namespaces import Namespaces

BOOT_S = 120.0
"""Timeout until a host accepts logins, in seconds; about ten on an idle machine."""

_FIRST_PROCESS_S = 10.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host by its name, in the lab of a state folder."""

    name: str
    folder: Path
    addresses: Addresses

    @property
    def home(self) -> Path:
        """The folder of all its files."""
        return self.folder / "premises" / "hosts" / self.name

    @property
    def address(self) -> str:
        """Its address."""
        return self.addresses.host(self.name)

    @property
    def cgroup(self) -> str:
        """Its cgroup, below the root of the hierarchy."""
        return f"{premises_of(self.folder).cgroup}/{self.name}"

    @property
    def key(self) -> str:
        """The public half of its host key."""
        text = (self.home / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii")
        return " ".join(text.split()[:2])

    @property
    def running(self) -> bool:
        """Whether any of its processes is running."""
        return cgroups.populated(self.cgroup)

    def start(self, trees: Sequence[Path], space: Namespaces) -> None:
        """Create its files as an overlay on those trees, the topmost first, and boot it.

        Returns before it accepts logins.
        """
        for name in ("upper", "work", "root"):
            (self.home / name).mkdir(parents=True)
        self._write_files()
        below = ":".join(map(str, trees))
        layers = f"lowerdir={below},upperdir={self.home / 'upper'},workdir={self.home / 'work'}"
        root = self.home / "root"
        space.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(root)])
        self._boot(space)

    def reboot(self, space: Namespaces) -> None:
        """Reboot it in order, keeping its files; returns when it accepts logins.

        Raises LabError if it does not shut down, or does not come back.
        """
        with contextlib.suppress(LabError):  # the connection ends with the host
            ssh(self.folder, self.address, "sudo systemctl poweroff")
        begun = time.monotonic()
        while self.running:
            if time.monotonic() - begun > BOOT_S:
                raise LabError(f"{self.name} does not shut down; its console: {self._last_words()}")
            time.sleep(0.1)
        hang_up(self.folder)  # otherwise Ansible's persistent connection would outlive it
        self._boot(space)
        self.wait()

    def cut_power(self) -> None:
        """Kill it, as a power cut does; its files stay. Raises LabError if it does not end."""
        cgroups.kill(self.cgroup)
        begun = time.monotonic()
        while self.running:
            if time.monotonic() - begun > BOOT_S:
                raise LabError(f"{self.name} still runs")
            time.sleep(0.1)

    def boot_again(self, space: Namespaces) -> None:
        """Boot it after a power cut; returns when it accepts logins. Raises LabError."""
        hang_up(self.folder)  # otherwise Ansible's persistent connection would outlive it
        self._boot(space)
        self.wait()

    def cut(self, space: Namespaces) -> None:
        """Pull its cable: packets vanish in both directions, and its own interface has no carrier."""
        space.run(["ip", "link", "set", self._port, "down"])

    def restore(self, space: Namespaces) -> None:
        """Reconnect its cable; returns when it accepts logins. Raises LabError if it does not."""
        space.run(["ip", "link", "set", self._port, "up"])
        hang_up(self.folder)  # a connection from before the cut may be dead unnoticed
        self.wait()

    @property
    def _port(self) -> str:
        """The bridge's end of its cable, as systemd-nspawn names it."""
        return f"vb-{self.name}"

    def _boot(self, space: Namespaces) -> None:
        root = self.home / "root"
        boot = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={self.name}"]
        # Without machined and scopes: this machine may not run systemd.
        boot += ["--register=no", "--keep-unit", f"--network-bridge={BRIDGE}", "--link-journal=no"]
        # bpf: without it IPAddressDeny= and the like in a host's units silently have no effect.
        boot += ["--resolv-conf=off", "--timezone=off", "--system-call-filter=bpf"]
        group = Path("/sys/fs/cgroup", self.cgroup)
        space.spawn(boot, cgroups=[group], log=self.home / "console.log")

    def wait(self) -> None:
        """Wait until it accepts logins. Raises LabError with its last output if it ends or hangs."""
        begun = time.monotonic()
        reason = f"no answer on port 22 within {BOOT_S:.0f} s"
        seen_alive = False
        while time.monotonic() - begun < BOOT_S:
            alive = self.running
            if not alive and (seen_alive or time.monotonic() - begun > _FIRST_PROCESS_S):
                reason = "it ended"
                break
            seen_alive = seen_alive or alive
            if self._listens():
                try:
                    ssh(self.folder, self.address, "true")
                except LabError as error:  # it listens a moment before it accepts logins
                    reason = str(error)
                else:
                    return
            time.sleep(0.1)
        words = self._last_words()
        exhausted = "Too many open files" in words  # systemd's message for too few inotify instances
        raise LabError(
            f"cannot log in to {self.name}: {reason}; its console: {words}",
            remedy="run make lab-deps, which raises the limit of inotify instances" if exhausted else "",
        )

    def remove(self, space: Namespaces | None) -> None:
        """Kill its processes and remove its files, however much of it exists."""
        cgroups.kill(self.cgroup)
        cgroups.remove(self.cgroup)
        if space:
            with contextlib.suppress(LabError):  # not mounted if its start was interrupted
                space.run(["umount", str(self.home / "root")])
        shutil.rmtree(self.home, ignore_errors=True)

    def _last_words(self) -> str:
        log = self.home / "console.log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return " | ".join(line.strip() for line in text.splitlines()[-6:] if line.strip()) or "nothing"

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _write_files(self) -> None:
        upper = self.home / "upper"
        # The host sees the modes of folders in the upper layer.
        for each in ("", "etc", "etc/ssh", "etc/systemd", "etc/systemd/network"):
            (upper / each).mkdir(exist_ok=True)
            (upper / each).chmod(0o755)
        _write(upper / "etc/hostname", f"{self.name}\n")
        _write(upper / "etc/machine-id", f"{uuid.uuid4().hex}\n")
        others = "".join(
            f"{self.addresses.host(host_name(n))} {host_name(n)}\n" for n in range(1, MAX_HOSTS + 1)
        )
        _write(upper / "etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{others}")
        network = (
            f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\n"
            f"Gateway={self.addresses.router}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
        _write(upper / "etc/systemd/network/10-lab.network", network)
        public = private_key(self.folder).with_suffix(".pub").read_text(encoding="ascii")
        _write(upper / "etc/ssh/authorized_keys", public)
        make_key(upper / "etc/ssh/ssh_host_ed25519_key", self.name)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
