"""Ansible as a user calls it, and what the machine looks like beside a lab."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[2]

_STRAYS = (
    *("/etc/cni", "/opt/cni", "/opt/containerd", "/opt/nri", "/run/containerd", "/run/netns", "/run/runc"),
    *("/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"),
    *("/usr/libexec/kubernetes", "/etc/kubernetes", "/run/flannel", "/run/nri"),
)
"""Where programs of a cluster leave files when nobody keeps them from it."""


class Ansible(Protocol):
    def __call__(self, inventory: Path, *arguments: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def ansible() -> Ansible:
    """`ansible -i INVENTORY premises ...`, with the settings that the playbooks run with."""

    def call(inventory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).parent / "ansible", "-i", inventory, "premises", *arguments],
            cwd=ROOT / "ansible",
            env=os.environ | {"LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def command(name: str, *arguments: str) -> list[str]:
    """The command line of `make lab` and its kin, which run in the state folder that LAB_STATE names."""
    return [sys.executable, "-m", f"lab.{name}", *arguments]


def finish(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run such a command to its end."""
    return subprocess.run(command(name, *arguments), cwd=ROOT, capture_output=True, text=True, check=False)


def machine(folder: Path) -> dict[str, object]:
    """What the lab of a state folder could leave on this machine, looked up without the lab's own code.

    Interfaces, routes and cgroups are all of the machine's, but for those of other labs, which come and go
    meanwhile. Processes are those that mention the folder in their command line or environment.
    """
    lab = hashlib.sha256(str(folder).encode()).hexdigest()[:6]
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
    groups, name = Path("/sys/fs/cgroup"), f"scenario-lab-{lab}*"
    told = {
        "interfaces": sorted(
            path.name for path in Path("/sys/class/net").iterdir() if not _of_another(path.name, lab)
        ),
        "routes": [
            line
            for line in Path("/proc/net/route").read_text().splitlines()
            if not _of_another(line.split()[0], lab)
        ],
        "mounts": sorted(
            line.split(" ", 4)[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
        ),
        "cgroups": sorted(map(str, [*groups.glob(name), *groups.glob(f"*/{name}")])),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "rules": rules.stdout,
        "strays": sorted(str(path) for path in map(Path, _STRAYS) if path.exists()),
    }
    return told | {"processes": [pid for pid in _processes() if _mentions(pid, str(folder))]}


def _of_another(interface: str, lab: str) -> bool:
    return interface.startswith("sclab-") and lab not in interface


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _mentions(pid: int, mark: str) -> bool:
    try:
        return any(
            mark.encode() in Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "environ")
        )
    except OSError:
        return False
