"""The digest of an inventory: what tells a preview that something that Ansible reads has changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# A digest in a state must not be a quick way to try out short secrets.
_ROUNDS = 200_000


def inventory_digest(files: Iterable[Path], answers: str, homes: Sequence[str]) -> str:
    """Return `sha256:<hex>` over what Ansible read.

    Args:
        files: the files, with links resolved; what is encrypted counts as it lies there.
        answers: hosts, groups and variables of the inventory's sources, which may be scripts.
        homes: the inventory and the folder of the playbooks; names of files are taken below them, so that
            another checkout or machine is not a change.

    """
    read = hashlib.sha256()
    for name, content in sorted(
        (_portable(file, homes), file.read_bytes()) for file in files if file.is_file()
    ):
        read.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"sha256:{hashlib.pbkdf2_hmac('sha256', answers.encode(), read.digest(), _ROUNDS).hex()}"


def _portable(file: Path, homes: Sequence[str]) -> str:
    for home in (Path(os.path.realpath(each)) for each in homes):
        folder = home if home.is_dir() else home.parent
        if file.is_relative_to(folder):
            return file.relative_to(folder).as_posix()
    return file.name
