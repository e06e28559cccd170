"""Folders of .deb files, as a bundle has them: what the lab's hosts lack for a package, and nothing else."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.premises.debian_tree import base_tree

if TYPE_CHECKING:
    from pathlib import Path


def folder_of(cache: Path, *names: str) -> Path:
    """Download packages with all that a host of the lab lacks for them; kept for the next time."""
    status = base_tree() / "var/lib/dpkg/status"
    edition = hashlib.sha256(" ".join([str(status), *sorted(names)]).encode()).hexdigest()[:12]
    folder = cache / f"packages-{edition}"
    with (cache / "packages.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not folder.is_dir():
            _download(folder.with_suffix(".unfinished"), status, names)
            folder.with_suffix(".unfinished").rename(folder)
    return folder


def _download(aside: Path, status: Path, names: tuple[str, ...]) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "partial").mkdir(parents=True)
    # As if this machine were such a host: apt works out what is missing there.
    options = [f"Dir::State::status={status}", f"Dir::Cache::archives={aside}", "APT::Sandbox::User=root"]
    command = ["apt-get", "--yes", "--quiet", "--no-install-recommends", "--download-only"]
    command += [word for option in options for word in ("--option", option)]
    done = subprocess.run([*command, "install", *names], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs Debian packages from this machine's apt (apt-get update): {done.stderr[-200:]}")
    for path in aside.iterdir():
        if path.suffix != ".deb":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
