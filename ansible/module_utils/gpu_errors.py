"""Errors that NVIDIA's kernel modules log: which of them are the hardware's."""

from __future__ import annotations

import re

XIDS_OF_PROGRAMS = frozenset({13, 31, 43, 45, 68, 109})
"""Xid errors that a program causes on a healthy GPU: the list that NVIDIA's k8s-device-plugin ignores in its
health checks (internal/rm/health.go, read in August 2026). The alert GpuXid ignores the same ones."""

_XID = re.compile(r"NVRM: Xid \([^)]*\): (\d+)(?:,.* to 0x[0-9a-f]+ \((.*)\))?")
"""The second group is the action that Xid 154 recommends."""
_SXID = re.compile(r"SXid \([^)]*\): (\d+), Fatal")
"""An NVSwitch's error. Those that are not fatal end a program at most, and a switch under load logs some."""


def logged_errors(text: str) -> list[str]:
    """List the hardware's errors in a kernel log, each once."""
    xids = {int(number) for number, action in _XID.findall(text) if action != "None"} - XIDS_OF_PROGRAMS
    sxids = {int(number) for number in _SXID.findall(text)}
    return [f"the kernel has logged Xid {number}" for number in sorted(xids)] + [
        f"the kernel has logged fatal SXid {number} of an NVSwitch" for number in sorted(sxids)
    ]
