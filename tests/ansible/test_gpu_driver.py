"""What the driver's role refuses, before it changes anything: each case is a host, all of them this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ansible.conftest import PLAYBOOKS, Ran
from tests.ansible.test_gpu_hardware import H100, V100, add_device

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "580.178.04"
# What stands for programs of the host, and prints; apt-cache in the format of `madison`.
PROGRAMS = {
    "systemctl": "inference-0123456789ab.service loaded active running",
    "apt-cache": f"""\
 nvidia-open | 595.84-1 | https://mirror.example.com/debian12  Packages
 nvidia-open | {VERSION}-1 | https://mirror.example.com/debian12  Packages
nvidia-modprobe | {VERSION}-1 | https://mirror.example.com/debian12  Packages
nvidia-persistenced | {VERSION}1-1 | https://mirror.example.com/debian12  Packages""",
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "newer": (
        {"loaded": "590.48.01"},
        f"needs a reboot: driver 590.48.01 is loaded, {VERSION} is wanted; nothing was",
    ),
    "nouveau": (
        {"driver": "nouveau"},
        f"needs a reboot: nouveau holds the GPUs, {VERSION} is wanted; nothing was",
    ),
    "nova": (
        {"driver": "NovaCore"},
        f"needs a reboot: NovaCore holds the GPUs, {VERSION} is wanted; nothing was",
    ),
    "vm": (
        {"driver": "vfio-pci"},
        "gives GPUs 0000:00:00.0 to virtual machines (vfio-pci), so no driver here can",
    ),
    "branch": (
        {"version": "580"},
        "gpu_driver_version is 580; set it to the driver they need, in full, such as",
    ),
    "package": (
        {"version": "580.178.04-1"},
        "gpu_driver_version is 580.178.04-1; set it to the driver they need, in",
    ),
    "none": (
        {"version": ""},
        "gpu_driver_version is empty; set it to the driver they need, in full, such as",
    ),
    "old": ({"version": "535.261.03"}, "gpu_driver_version: driver 535.261.03 is too old for CUDA 13"),
    "absent": ({}, f"no source of apt on absent has nvidia-persistenced in version {VERSION}; add NVIDIA's"),
    "headers": (
        {"gpu_driver_headers": ["linux-headers-1.2.3"], "gpu_driver_packages": {"open": ["nvidia-open"]}},
        "no source of apt on headers has linux-headers-1.2.3; nothing was changed",
    ),
    "volta": (
        {"device": V100},
        "gpu_driver_version: CUDA 13, which torch needs here, has no support for volta",
    ),
}


def pretend(
    root: Path,
    *,
    device: int = H100,
    driver: str = "",
    loaded: str = "",
    version: str = VERSION,
    **more: Any,
) -> dict[str, Any]:
    """A tree that stands for a host with one GPU, as the host's variables."""
    add_device(root, device, driver=driver)
    if loaded:
        (root / "proc/driver/nvidia").mkdir(parents=True)
        line = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {loaded}  Release Build\n"
        (root / "proc/driver/nvidia/version").write_text(line)
    return {"gpu_driver_root": str(root), "gpu_driver_version": version, **more}


def play(folder: Path, hosts: dict[str, dict[str, Any]], tasks: list[dict[str, Any]]) -> Ran:
    """Foresee what some tasks would do on hosts that are all this machine."""
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "inventory.yml").write_text(yaml.safe_dump({"premises": {"hosts": hosts, "vars": common}}))
    start = {"hosts": "premises", "gather_facts": False, "any_errors_fatal": False, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([start]))
    (folder / "bin").mkdir()
    for name, text in PROGRAMS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        (folder / "bin" / name).chmod(0o755)
    own = {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles")}
    own |= {
        "ANSIBLE_ANY_ERRORS_FATAL": "false",
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
    }
    inventory, file = (str(folder / name) for name in ("inventory.yml", "play.yml"))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", inventory, file, "--check"],
        cwd=PLAYBOOKS,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Ran(done.returncode, done.stdout)


@pytest.mark.slow
def test_what_cannot_be_is_refused_in_a_preview_already(tmp_path: Path) -> None:
    hosts = {name: pretend(tmp_path / name, **how) for name, (how, _) in REFUSED.items()}
    ran = play(tmp_path, hosts, [{"ansible.builtin.include_role": {"name": "gpu_driver"}}])
    parts = re.split(r"fatal: \[([a-z]+)\]", " ".join(ran.output.split()))
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, (_, complaint) in REFUSED.items():
        assert complaint in said.get(name, ""), f"{name}: {said.get(name, ran.output)[:1500]}"
    assert ran.changes() == 0


@pytest.mark.slow
def test_drivers_change_on_one_host_after_the_other_after_those_that_have_none(tmp_path: Path) -> None:
    loaded = {"a": "590.48.01", "b": "590.48.01", "c": ""}
    hosts = {name: pretend(tmp_path / name, loaded=version) for name, version in loaded.items()}
    for settings in hosts.values():
        settings |= {"gpu_driver_reboot": True, "packages_folder": "/srv/packages", "gpu_driver_headers": []}
    tasks = yaml.safe_load((PLAYBOOKS / "tasks/prepare_host.yml").read_text())
    ran = play(tmp_path, hosts, [task for task in tasks if "GPU driver" in task["name"]])
    assert ran.code == 0, ran.output[-3000:]
    first, *changed = (host for host, task in ran.where if task == "Pin the driver packages")
    assert first == "c"
    assert sorted(changed) == ["a", "b"], "which is first of them, Ansible leaves to who answered first"
    changing = [host for host, _ in ran.where if host in "ab"]
    assert changing == sorted(changing, key=changed.index), "the second waits until the first has done all"
    stops = re.findall(r"TASK [^\n]*Stop the services.*?\[([ab])\]", ran.output, re.DOTALL)
    assert stops == changed
