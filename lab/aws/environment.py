"""The Python of the lab's AWS: this one, `.venv`, or one created once in the lab's cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bootstrap.cache import exclusive
from bootstrap.console import Progress, say
from lab import LabError, lab_cache

ROOT = Path(__file__).resolve().parents[2]
_LOCK = ROOT / "requirements" / "lab.lock"
_NEEDED = ("moto", "boto3", "flask")
"""Packages to check for: all others come with them."""


def python() -> Path:
    """Return a Python with the locked release of moto and its server's dependencies.

    Raises LabError if there is none and no package registry is reachable.
    """
    locked = _LOCK.read_text(encoding="utf-8")
    wanted = {name: locked.partition(f"\n{name}==")[2].split()[0] for name in _NEEDED}
    if all(_version_here(name) == version for name, version in wanted.items()):
        return Path(sys.executable)
    beside = ROOT / ".venv"
    if all(
        any(beside.glob(f"lib/python3*/site-packages/{name}-{version}.dist-info"))
        for name, version in wanted.items()
    ):
        return beside / "bin" / "python"
    return _cached()


def _version_here(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cached() -> Path:
    kept = lab_cache() / f"aws-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    with exclusive(lab_cache() / "aws.lock", "installing moto"):
        if not kept.exists():
            _make(kept)
    return kept / "bin" / "python"


def _make(kept: Path) -> None:
    """Install requirements/lab.lock, by hash, in an environment that is renamed at the end."""
    say("aws: installing requirements/lab.lock: about a minute, once")
    progress = Progress("aws")
    unfinished = kept.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    python = str(unfinished / "bin" / "python")
    _run([sys.executable, "-m", "venv", str(unfinished)], "install python3-venv (make lab-deps)")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
    _run([*pip, "-r", str(_LOCK)], "is a package registry within reach?")
    unfinished.rename(kept)
    progress.done("installed")


def _run(command: list[str], remedy: str) -> None:
    done = subprocess.run(  # noqa: S603
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise LabError(f"aws: `{' '.join(command[1:4])} …`: {words}", remedy=remedy)
