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
    "volta": (
        {"device": V100},
        "gpu_driver_version: CUDA 13, which torch needs here, has no support for volta",
    ),
}


def pretend(
    root: Path, *, device: int = H100, driver: str = "", loaded: str = "", version: str = VERSION
) -> dict[str, Any]:
    """A tree that stands for a host with one GPU, as the host's variables."""
    add_device(root, device, driver=driver)
    if loaded:
        (root / "proc/driver/nvidia").mkdir(parents=True)
        line = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {loaded}  Release Build\n"
        (root / "proc/driver/nvidia/version").write_text(line)
    return {"gpu_driver_root": str(root), "gpu_driver_version": version}


@pytest.mark.slow
def test_what_cannot_be_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    hosts = {name: pretend(tmp_path / name, **how) for name, (how, _) in REFUSED.items()}
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"premises": {"hosts": hosts, "vars": common}}))
    role = {"ansible.builtin.include_role": {"name": "gpu_driver"}}
    play = {"hosts": "premises", "gather_facts": False, "any_errors_fatal": False, "tasks": [role]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    own = {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles")}
    own |= {"ANSIBLE_ANY_ERRORS_FATAL": "false", "ANSIBLE_NOCOLOR": "1"}
    inventory, file = (str(tmp_path / name) for name in ("inventory.yml", "play.yml"))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", inventory, file],
        cwd=PLAYBOOKS,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
    )
    ran = Ran(done.returncode, done.stdout)
    parts = re.split(r"fatal: \[([a-z]+)\]", " ".join(ran.output.split()))
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, (_, complaint) in REFUSED.items():
        assert complaint in said.get(name, f"not refused: {ran.output[-3000:]}")
    assert ran.changes() == 0
