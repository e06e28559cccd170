"""The Python that the lab's AWS runs on: this one, `.venv`, or one that is made once in the lab's cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.cache import exclusive
from engine.console import Progress, say
from lab import LabError, lab_cache

ROOT = Path(__file__).resolve().parents[2]
_LOCK = ROOT / "requirements" / "lab.lock"
_NEEDED = ("moto", "boto3", "flask", "yaml")


def python() -> Path:
    """Return a Python that has moto. Raises LabError where no package registry can be reached."""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return Path(sys.executable)
    beside = ROOT / ".venv" / "bin" / "python"
    if beside.exists() and all(
        any(beside.parents[1].glob(f"lib/python3*/site-packages/{name}")) for name in _NEEDED
    ):
        return beside
    return _cached()


def _cached() -> Path:
    kept = lab_cache() / f"aws-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    with exclusive(lab_cache() / "aws.lock", "installing moto"):
        if not kept.exists():
            _make(kept)
    return kept / "bin" / "python"


def _make(kept: Path) -> None:
    """Install requirements/lab.lock, by hash, in an environment that gets its name last."""
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
