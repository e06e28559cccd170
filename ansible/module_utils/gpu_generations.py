"""The generation of an NVIDIA GPU, by its PCI device id, and the driver it requires.

Ranges of ids: pci.ids of Debian 12 (April 2023) for all up to Ada, and the list of GPUs of NVIDIA's
open-gpu-kernel-modules 575 for later ones. Which module: NVIDIA's Driver Installation Guide, "Kernel
Modules" (open from Turing on, proprietary before), and "NVIDIA Transitions Fully Towards Open-Source GPU
Kernel Modules" of 2024 (open alone on Grace Hopper and Blackwell; proprietary where old and new are mixed).
"""

from __future__ import annotations

_RANGES = (
    (0x1340, 0x15EF, "maxwell"),
    (0x15F0, 0x15FF, "pascal"),
    (0x1600, 0x171F, "maxwell"),
    (0x1720, 0x173F, "pascal"),
    (0x1740, 0x17FF, "maxwell"),
    (0x1B00, 0x1D7F, "pascal"),
    (0x1D80, 0x1DFF, "volta"),
    (0x1E00, 0x1FFF, "turing"),
    (0x2000, 0x20FF, "ampere"),
    (0x2180, 0x21FF, "turing"),
    (0x2200, 0x22FF, "ampere"),
    (0x2300, 0x23FF, "hopper"),
    (0x2400, 0x25FF, "ampere"),
    (0x2600, 0x28FF, "ada"),
    (0x2900, 0x2FFF, "blackwell"),
    (0x3180, 0x31FF, "blackwell"),
)
_GRACE_HOPPER = frozenset({0x2342, 0x2345, 0x2348})
_PROPRIETARY_ONLY = frozenset({"maxwell", "pascal", "volta"})
LAST_PROPRIETARY_BRANCH = 580
"""The last driver branch for Maxwell, Pascal and Volta."""

SWITCHES = frozenset({0x1AC2, 0x1AF1, 0x22A3})
"""NVSwitches of HGX-2, HGX A100 and HGX H100/H200, as PCI devices."""
CUDA = 13
"""The CUDA of torch and vLLM in the locks. It supports Turing and later, and needs at least the first branch below
(NVIDIA, "CUDA Toolkit Release Notes", table of minimum driver versions)."""
FIRST_BRANCH = 580


class DriverError(Exception):
    """The problem and its remedy, in one line."""


def generation(device: int) -> str | None:
    """Return the generation of a GPU, or None for one that is not in the table."""
    return next((name for first, last, name in _RANGES if first <= device <= last), None)


def module_for(devices: list[int]) -> str:
    """Choose V(open) or V(proprietary) for all GPUs of a host. Raises DriverError if neither supports all of them."""
    found = {device: generation(device) for device in devices}
    if unknown := [device for device, name in found.items() if name is None]:
        raise DriverError(
            f"GPU 10de:{unknown[0]:04x} is not in a known generation (Maxwell to Blackwell); "
            "set gpu_driver_module to open or proprietary, according to NVIDIA's documentation of that GPU"
        )
    old = {name for name in found.values() if name in _PROPRIETARY_ONLY}
    new = {name for device, name in found.items() if name == "blackwell" or device in _GRACE_HOPPER}
    if old and new:
        raise DriverError(
            f"no driver supports both {', '.join(sorted(map(str, old)))} and "
            f"{', '.join(sorted(map(str, new)))}; remove one of them from this host"
        )
    return "proprietary" if old else "open"


def unsupported(devices: list[int], version: str) -> str | None:
    """Return why a driver version does not suit the GPUs or our packages, or None."""
    branch = version.partition(".")[0]
    if not devices or not branch.isdecimal():
        return None
    old = ", ".join(sorted({str(generation(device)) for device in devices} & _PROPRIETARY_ONLY))
    if old and int(branch) > LAST_PROPRIETARY_BRANCH:
        return f"driver {version} has no support for {old}; the last branch is {LAST_PROPRIETARY_BRANCH}"
    if int(branch) < FIRST_BRANCH:
        first = f"the first branch is {FIRST_BRANCH}"
        return f"driver {version} is too old for CUDA {CUDA}, which torch needs here; {first}"
    if old:
        return (
            f"CUDA {CUDA}, which torch needs here, has no support for {old}; remove these GPUs from the host"
        )
    return None
