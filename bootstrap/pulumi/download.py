"""The official release of the engine, verified.

Source: <https://github.com/pulumi/pulumi/releases> publishes `pulumi-<version>-checksums.txt` (SHA-256). If
possible the archive comes from a different host than the checksum, so that neither alone can substitute the
program. No checksum is pinned here: none could be compared with the release itself.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from bootstrap import BootstrapError
from bootstrap.archive import take_files
from bootstrap.cache import keep, workspace
from bootstrap.pulumi import PROGRAMS, VERSION
from bootstrap.pulumi.kept import kept
from bootstrap.release_asset import fetch_verified, published_checksum

if TYPE_CHECKING:
    from pathlib import Path

_GITHUB = f"https://github.com/pulumi/pulumi/releases/download/v{VERSION}"
_PULUMI = "https://get.pulumi.com/releases/sdk"


def download() -> Path:
    """Return the folder of the official release, verified.

    Raises BootstrapError if it cannot be reached within 10 s, or no copy matches its checksum.
    `ENGINE_MIRROR` is the URL of a mirror's folder with the archive and the checksum file.
    """
    archive = f"pulumi-v{VERSION}-{_platform()}.tar.gz"
    mirror = os.environ.get("ENGINE_MIRROR", "").rstrip("/")
    expected = published_checksum(f"{mirror or _GITHUB}/pulumi-{VERSION}-checksums.txt", archive)
    target = kept("download")
    with workspace(target) as folder:
        try:
            whole = fetch_verified([mirror] if mirror else [_PULUMI, _GITHUB], archive, expected, folder)
            made = take_files(whole, {f"pulumi/{name}": name for name in PROGRAMS}, folder / "bin")
        except BootstrapError as error:
            raise BootstrapError(str(error), remedy="try again, or set ENGINE_SOURCE=build") from None
        return keep(made, target)


def _platform() -> str:
    system, machine = platform.system().lower(), platform.machine().lower()
    names = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    if system not in {"linux", "darwin"} or machine not in names:
        raise BootstrapError(f"there is no official release for {system} on {machine}")
    return f"{system}-{names[machine]}"
