"""Extracts programs from a release's archive: only the named files; links and paths are never followed."""

from __future__ import annotations

import shutil
import tarfile
from typing import TYPE_CHECKING

from bootstrap import BootstrapError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def take_files(archive: Path, wanted: Mapping[str, str], folder: Path) -> Path:
    """Copy members of a .tar.gz into the folder as executables; `wanted` maps member to file name.

    Raises BootstrapError if the archive is invalid or lacks one of them.
    """
    folder.mkdir(exist_ok=True)
    missing = dict(wanted)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = missing.get(member.name.removeprefix("./"))
                if name and member.isfile() and (file := tar.extractfile(member)):
                    with (folder / name).open("wb") as out:
                        shutil.copyfileobj(file, out)
                    (folder / name).chmod(0o755)
                    del missing[member.name.removeprefix("./")]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BootstrapError(f"cannot unpack {archive.name}: {error}") from None
    if missing:
        raise BootstrapError(f"{archive.name} lacks {', '.join(missing.values())}")
    return folder
