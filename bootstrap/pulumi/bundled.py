"""The control node's part of a bundle (`make bundle`), for a control node without access to a registry.

`BUNDLE` is the folder and `BUNDLE_KEY` the public key; see `bundle/`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bootstrap import BootstrapError
from bootstrap.cache import keep, workspace
from bootstrap.pulumi import PROGRAMS
from bootstrap.pulumi.kept import kept

PART = "control-node"
"""Its folder in the bundle, with `engine/` and `wheels/` in it."""


@functools.cache
def bundle() -> Path | None:
    """Return the control node's part of the bundle, verified; None if `BUNDLE` is not set.

    Uses openssl, as nothing else is installed yet. Raises BootstrapError if any of it does not match the
    signature.
    """
    if not (named := os.environ.get("BUNDLE")):
        return None
    folder, key = Path(named).absolute(), os.environ.get("BUNDLE_KEY", "")
    if not key:
        raise BootstrapError(
            "BUNDLE is set, BUNDLE_KEY is not", remedy="name the public key that verifies it"
        )
    sums = folder / "SHA256SUMS"
    command = ["openssl", "dgst", "-sha256", "-verify", key, "-signature", f"{sums}.sig", str(sums)]
    try:
        judged = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise BootstrapError("openssl, which verifies BUNDLE, is not on PATH", remedy="install it") from None
    if judged.returncode:
        words = (judged.stderr.strip() or judged.stdout.strip()).splitlines()[-1:]
        raise BootstrapError(f"bundle {folder} does not match the key {key} ({''.join(words)}): rejected")
    _compare(folder, sums.read_text(encoding="utf-8"))
    return folder / PART


def _compare(folder: Path, sums: str) -> None:
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in sums.splitlines())}
    listed = {name: digest for name, digest in listed.items() if name.startswith(f"{PART}/")}
    found = {str(path.relative_to(folder)) for path in (folder / PART).rglob("*") if not path.is_dir()}
    for name in sorted(listed.keys() | found):
        path = folder / name
        if name not in listed or path.is_symlink() or not path.is_file() or _digest(path) != listed[name]:
            raise BootstrapError(f"bundle {folder}: {name} does not match its signed digest: rejected")
    if not listed:
        raise BootstrapError(f"bundle {folder} has no part for the control node", remedy="make bundle")


def take() -> Path:
    """Copy the engine from the bundle into the cache. Raises BootstrapError if the bundle has none."""
    part = bundle()
    if part is None:
        raise BootstrapError("BUNDLE is not set", remedy="set BUNDLE and BUNDLE_KEY")
    with workspace(kept("bundle")) as folder:
        made = folder / "bin"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for name in PROGRAMS:
            shutil.copy2(part / "pulumi" / name, made / name)
        return keep(made, kept("bundle"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
