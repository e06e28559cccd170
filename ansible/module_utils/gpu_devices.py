"""NVIDIA's devices as the kernel shows them in sysfs, without a driver of theirs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_NVIDIA, _MELLANOX = 0x10DE, 0x15B3
_DISPLAY = (0x0300, 0x0302)
"""PCI classes of GPUs: with and without a display."""
_MANAGEMENT = b"SW_MNG"
"""Part of the VPD of the InfiniBand devices through which an HGX board of Blackwell GPUs has its switches managed."""


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii").strip(), 16)


def _driver(entry: Path) -> str:
    link = entry / "driver"
    return link.readlink().name if link.is_symlink() else ""


def nvidia_devices(root: Path) -> list[dict[str, Any]]:
    """List NVIDIA's PCI devices with address, device id, class, and the kernel driver that holds each."""
    return [
        {
            "address": entry.name,
            "device": _number(entry / "device"),
            "class": _number(entry / "class") >> 8,
            "driver": _driver(entry),
        }
        for entry in sorted((root / "sys/bus/pci/devices").glob("*"))
        if _number(entry / "vendor") == _NVIDIA
    ]


def gpus_of(devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the devices that are GPUs."""
    return [each for each in devices if each["class"] in _DISPLAY]


def manages_switches(root: Path) -> bool:
    """Return whether switches are managed through an InfiniBand device of this host; only root may read its VPD."""
    adapters = (
        entry for entry in (root / "sys/bus/pci/devices").glob("*") if _number(entry / "vendor") == _MELLANOX
    )
    files = [*(root / "sys/class/infiniband").glob("*/device/vpd"), *(entry / "vpd" for entry in adapters)]
    for file in files:
        with suppress(OSError):
            if _MANAGEMENT in file.read_bytes():
                return True
    return False
