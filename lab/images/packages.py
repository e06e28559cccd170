"""Packages for images, installed by uv on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bootstrap.registry import uv_environment
from lab import LabError, lab_cache

_LOCK = Path(__file__).resolve().parents[2] / "requirements" / "uv.lock"


def install(target: Path, *what: str, options: tuple[str, ...] = ()) -> None:
    """Install into a folder, without dependencies: locks list them all. Raises LabError with uv's last words."""
    chosen = ["--python", sys.executable, "--link-mode", "copy", "--no-deps", *options]
    _run([str(_uv()), "--quiet", "pip", "install", *chosen, "--target", str(target), *what])


def _uv() -> Path:
    """Return uv of the lab's own, installed by hash if it is not there."""
    home = lab_cache() / "images" / "uv"
    if not (home / "bin" / "uv").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        pip = [str(home / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, "--require-hashes", "--requirement", str(_LOCK)])
    return home / "bin" / "uv"


def _run(command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603
        command, env=uv_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise LabError(f"`{Path(command[0]).name} {command[1]}` failed: {' | '.join(words[-3:])}")
