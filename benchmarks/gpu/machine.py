"""What the check ran on: GPU, driver, packages, source."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.gpu.context import ROOT, first_line

_PACKAGES = ("torch", "transformers", "peft", "triton")


_ASK_TORCH = """
import json, torch
names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
print(json.dumps({"names": names, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}))
"""


def ask_torch() -> dict[str, Any]:
    """`names` of the GPUs that torch sees, its versions of `cuda` and `cudnn`; nothing if torch fails.

    In a process of its own, so that this one never holds CUDA.
    """
    found: dict[str, Any] = json.loads(_output(sys.executable, "-c", _ASK_TORCH, timeout_s=90.0) or "{}")
    return found


def describe(asked: dict[str, Any]) -> dict[str, Any]:
    """The machine in words and versions, with torch's answer; what cannot be read is None."""
    names = asked.get("names", [])
    return {
        "gpu": names[0] if names else None,
        "gpus": len(names),
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": len(os.sched_getaffinity(0)),
        "packages": {name: installed(name) for name in _PACKAGES},
        "cuda": asked.get("cuda"),
        "cudnn": asked.get("cudnn"),
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def installed(name: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def command(*argv: str, timeout_s: float = 15.0) -> tuple[int | None, str, str]:
    """Run a command; returns exit code (None: it did not run, or not to its end), output, and errors."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, "", f"{argv[0]} did not end within {timeout_s:.0f} s"
    except OSError as error:
        return None, "", first_line(error)
    return done.returncode, done.stdout, done.stderr


def _output(*argv: str, timeout_s: float = 15.0) -> str | None:
    code, out, _ = command(*argv, timeout_s=timeout_s)
    lines = out.strip().splitlines()
    return lines[-1] if code == 0 and lines else None
