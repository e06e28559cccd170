#!/usr/bin/python
"""Ansible module: detect the NVIDIA GPUs of a host, the driver they need, and obstacles to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.gpu_generations import (
    SWITCHED_GPUS,
    SWITCHES,
    DriverError,
    generation,
    module_for,
    too_new,
)

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
gpus: {type: list, elements: dict, returned: success, description: [Address, device id, generation.]}
module: {type: str, returned: success, description: [V(open) or V(proprietary); empty without a GPU.]}
fabric: {type: str, returned: success, description: [V(none), V(switches) or V(subnet).]}
secure_boot: {type: bool, returned: success, description: [Whether the firmware loads only signed code.]}
nouveau: {type: bool, returned: success, description: [Whether nouveau is loaded.]}
loaded: {type: str, returned: success, description: [Version of the loaded NVIDIA driver, or empty.]}
"""

_NVIDIA = 0x10DE
_DISPLAY = (0x0300, 0x0302)
"""PCI classes of GPUs: with and without a display."""
_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii").strip(), 16)


def nvidia_devices(root: Path) -> list[dict[str, Any]]:
    """List NVIDIA's PCI devices with address, device id and class."""
    found = []
    for entry in sorted((root / "sys/bus/pci/devices").glob("*")):
        if _number(entry / "vendor") == _NVIDIA:
            kind = _number(entry / "class") >> 8
            found.append({"address": entry.name, "device": _number(entry / "device"), "class": kind})
    return found


def secure_boot(root: Path) -> bool:
    """Return whether the firmware loads only signed code: the fifth byte of its variable, after attributes."""
    variable = root / "sys/firmware/efi/efivars" / _SECURE_BOOT
    return variable.exists() and variable.read_bytes()[4:5] == b"\x01"


def loaded_driver(root: Path) -> str:
    """Return the version of the NVIDIA driver loaded by the kernel, or an empty string."""
    file = root / "proc/driver/nvidia/version"
    told = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)\s", file.read_text()) if file.exists() else None
    return told[1] if told else ""


def fabric(devices: list[dict[str, Any]]) -> str:
    """Return what manages the switches between the GPUs."""
    ids = {each["device"] for each in devices}
    if ids & SWITCHED_GPUS:
        return "subnet"
    return "switches" if ids & SWITCHES else "none"


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
    ids = [each["device"] for each in devices if each["class"] in _DISPLAY]
    gpus = [
        {
            "address": each["address"],
            "device": f"{each['device']:04x}",
            "generation": generation(each["device"]),
        }
        for each in devices
        if each["class"] in _DISPLAY
    ]
    try:
        chosen = "" if not ids else module_for(ids) if wanted == "auto" else wanted
    except DriverError as error:
        module.fail_json(msg=str(error))
    if left_behind := too_new(ids, module.params["version"]):
        module.fail_json(msg=f"gpu_driver_version: {left_behind}")
    module.exit_json(
        changed=False,
        gpus=gpus,
        module=chosen,
        fabric=fabric(devices),
        secure_boot=secure_boot(root),
        nouveau=(root / "sys/module/nouveau").exists(),
        loaded=loaded_driver(root),
    )


if __name__ == "__main__":
    main()
