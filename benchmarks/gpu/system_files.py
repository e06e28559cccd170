"""What the kernel shows of GPUs: device nodes, sysfs with `driver` links, its log. Nothing is changed."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from benchmarks.gpu.machine import command

_NVIDIA = "0x10de"
_GPU_LINES = re.compile(r"NVRM|Xid|nvidia|nouveau|nova|NVSwitch", re.IGNORECASE)
_ATTRIBUTES = (
    *("vendor", "device", "class", "revision", "subsystem_vendor", "subsystem_device", "numa_node", "enable"),
    *("current_link_speed", "current_link_width", "max_link_speed", "max_link_width", "power_state"),
)
_LINKS = ("driver", "iommu_group", "driver/module")
_MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset", "nvidia_drm", "nvidia_peermem", "nouveau", "nova_core")
_DRIVER_FILES = ("version", "params", "registry", "capabilities/gpu0/mig/*", "gpus/*/information")
_MOST_LINES = 2000


def devices(root: Path = Path("/")) -> str:
    """/proc/devices, then a line per node of NVIDIA and InfiniBand below /dev: mode, owner, numbers."""
    lines = ["# proc/devices", *_read(root / "proc/devices"), "", "# dev"]
    for pattern in ("nvidia*", "nvidia-caps/*", "nvidia-caps-imex-channels/*", "infiniband/*", "dri/*"):
        lines += [_node(path, root) for path in sorted((root / "dev").glob(pattern))]
    return "\n".join(lines) + "\n"


def sysfs(root: Path = Path("/")) -> str:
    """`path: content` and `path -> target` of NVIDIA's PCI devices, kernel modules and driver files."""
    lines = []
    for entry in sorted((root / "sys/bus/pci/devices").glob("*")):
        if _read(entry / "vendor") == [_NVIDIA]:
            lines += [f"{_name(entry / each, root)}: {_line(entry / each)}" for each in _ATTRIBUTES]
            lines += [_link(entry / each, root) for each in _LINKS]
    for name in _MODULES:
        module = root / "sys/module" / name
        loaded = f"loaded, version {_line(module / 'version')}" if module.exists() else "not loaded"
        lines.append(f"sys/module/{name}: {loaded}")
    for entry in sorted((root / "sys/class/infiniband").glob("*")):
        lines += [f"{_name(entry / each, root)}: {_line(entry / each)}" for each in ("board_id", "node_desc")]
        lines.append(_link(entry / "device/driver", root))
    for pattern in _DRIVER_FILES:
        for file in sorted((root / "proc/driver/nvidia").glob(pattern)):
            lines += [f"{_name(file, root)}: {_without_uuid(line)}" for line in _read(file)]
    return "\n".join(lines) + "\n"


def kernel_lines() -> tuple[list[str], str]:
    """Lines of the kernel's log on GPUs, and where they are from; no lines and the reason if unreadable."""
    reasons = []
    for argv in (
        ("journalctl", "--dmesg", "--boot", "--output=short-monotonic", "--no-pager"),
        ("dmesg",),
    ):
        code, out, errors = command(*argv)
        if code == 0 and out.strip():
            found = [line for line in out.splitlines() if _GPU_LINES.search(line)]
            return [_without_uuid(line) for line in found[:_MOST_LINES]], argv[0]
        reasons.append(f"{argv[0]}: {' '.join((errors or out or 'empty').split())[:150]}")
    return [], f"unreadable ({'; '.join(reasons)})"


def _without_uuid(line: str) -> str:
    return re.sub(r"(GPU-)[0-9a-fA-F?-]{36}", r"\g<1>00000000-0000-0000-0000-000000000000", line)


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _line(path: Path) -> str:
    return " ".join(_read(path)) or "not there"


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root))


def _link(path: Path, root: Path) -> str:
    """A link with the last part of its target: `driver -> nvidia`, or vfio-pci, or none."""
    try:
        return f"{_name(path, root)} -> {path.resolve(strict=True).name}"
    except OSError:
        return f"{_name(path, root)} -> none"


def _node(path: Path, root: Path) -> str:
    try:
        about = path.lstat()
    except OSError as error:
        return f"{_name(path, root)} unreadable: {error.strerror}"
    numbers = f"{os.major(about.st_rdev)}, {os.minor(about.st_rdev)}"
    return f"{stat.filemode(about.st_mode)} {about.st_uid} {about.st_gid} {numbers} {_name(path, root)}"
