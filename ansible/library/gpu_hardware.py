#!/usr/bin/python
"""Ansible module: detect the NVIDIA GPUs of a host, the driver they need, and obstacles to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.gpu_devices import gpus_of, manages_switches, nvidia_devices
from ansible.module_utils.gpu_generations import SWITCHES, DriverError, generation, module_for, unsupported

DOCUMENTATION = r"""
module: gpu_hardware
short_description: Detect the NVIDIA GPUs of a host and the driver they need
description:
  - Reads sysfs; requires neither lspci nor a driver. Changes nothing.
options:
  module:
    type: str
    default: auto
    choices: [auto, open, proprietary]
    description: [The requested kind of kernel module.]
  version: {type: str, default: "", description: [The requested driver.]}
  root: {type: path, default: /, description: [Parent folder of C(sys) and C(proc); for tests.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
gpus: {type: list, elements: dict, returned: success, description: ['Address, device id, generation, driver.']}
module: {type: str, returned: success, description: [V(open) or V(proprietary); empty without a GPU.]}
fabric: {type: str, returned: success, description: [V(none), V(switches) or V(subnet).]}
secure_boot: {type: bool, returned: success, description: [Whether the firmware loads only signed code.]}
held_by: {type: list, elements: str, returned: success, description: [Drivers other than NVIDIA's that hold GPUs.]}
loaded: {type: str, returned: success, description: [Version of the loaded NVIDIA driver, or empty.]}
kernels: {type: list, elements: str, returned: success, description: ['Releases of the kernels that may be booted.']}
"""

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def secure_boot(root: Path) -> bool:
    """Return whether the firmware loads only signed code: the fifth byte of its variable, after attributes."""
    variable = root / "sys/firmware/efi/efivars" / _SECURE_BOOT
    return variable.exists() and variable.read_bytes()[4:5] == b"\x01"


def loaded_driver(root: Path) -> str:
    """Return the version of the NVIDIA driver loaded by the kernel, or an empty string."""
    file = root / "proc/driver/nvidia/version"
    told = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)\s", file.read_text()) if file.exists() else None
    return told[1] if told else ""


def fabric(root: Path, devices: list[dict[str, Any]]) -> str:
    """Return what manages the switches between the GPUs."""
    if gpus_of(devices) and manages_switches(root):
        return "subnet"
    return "switches" if {each["device"] for each in devices} & SWITCHES else "none"


def holders(root: Path, devices: list[dict[str, Any]]) -> list[str]:
    """Return the drivers that hold GPUs and are not NVIDIA's; a loaded nouveau takes them at any time."""
    found = {each["driver"] for each in gpus_of(devices)} - {"", "nvidia"}
    return sorted(found | ({"nouveau"} if (root / "sys/module/nouveau").exists() else set()))


def kernels(root: Path) -> list[str]:
    """Return the releases of the installed kernels and of the running one."""
    running = root / "proc/sys/kernel/osrelease"
    found = {file.name.partition("-")[2] for file in (root / "boot").glob("vmlinuz-*")}
    return sorted(found | ({running.read_text(encoding="ascii").strip()} if running.exists() else set()))


def main() -> None:
    """Detect, choose and return the result."""
    options: dict[str, Any] = {
        "module": {"type": "str", "default": "auto", "choices": ["auto", "open", "proprietary"]},
        "version": {"type": "str", "default": ""},
        "root": {"type": "path", "default": "/"},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    root, wanted = Path(module.params["root"]), module.params["module"]
    devices = nvidia_devices(root)
    ids = [each["device"] for each in gpus_of(devices)]
    gpus = [
        {
            "address": each["address"],
            "device": f"{each['device']:04x}",
            "generation": generation(each["device"]),
            "driver": each["driver"],
        }
        for each in gpus_of(devices)
    ]
    try:
        chosen = "" if not ids else module_for(ids) if wanted == "auto" else wanted
    except DriverError as error:
        module.fail_json(msg=str(error))
    if problem := unsupported(ids, module.params["version"]):
        module.fail_json(msg=f"gpu_driver_version: {problem}")
    module.exit_json(
        changed=False,
        gpus=gpus,
        module=chosen,
        fabric=fabric(root, devices),
        secure_boot=secure_boot(root),
        held_by=holders(root, devices),
        loaded=loaded_driver(root),
        kernels=kernels(root),
    )


if __name__ == "__main__":
    main()
