"""Ansible lookup: the files of the model package's source, and the name that a runtime has by them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: package_source
short_description: List the files of a package's source, or take a digest of them
description:
  - What builds and tests leave behind does not count.
options:
  _terms: {description: [The folder of the source; for a digest, further texts.], required: true}
  digest: {type: bool, default: false, description: [Return one SHA-256 in place of the files.]}
"""
RETURN = r"""
_raw: {type: list, elements: str, description: [Paths below the folder, sorted; or the digest.]}
"""

_LEFT_BEHIND = frozenset({"build", "__pycache__"})


def files(source: Path) -> list[str]:
    """List the files below the folder, relative to it. Raises OSError where there is no such folder."""
    found = []
    for path in source.rglob("*"):
        below = path.relative_to(source)
        folders = below.parts[:-1]
        if path.is_file() and path.suffix != ".pyc" and not any(_is_left_behind(name) for name in folders):
            found.append(str(below))
    if not found:
        raise FileNotFoundError(source)
    return sorted(found)


def _is_left_behind(folder: str) -> bool:
    return folder in _LEFT_BEHIND or folder.startswith(".") or folder.endswith(".egg-info")


def digest(source: Path, *others: str) -> str:
    """Take the digest of the source, names and contents, and of other texts."""
    contents = [[name, hashlib.sha256((source / name).read_bytes()).hexdigest()] for name in files(source)]
    return hashlib.sha256(json.dumps([*others, contents]).encode()).hexdigest()


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible asks for."""

    def run(self, terms: list[Any], variables: Any = None, **options: Any) -> list[str]:
        """Return the files, or the digest."""
        self.set_options(var_options=variables, direct=options)
        source = Path(str(terms[0]))
        try:
            if self.get_option("digest"):
                return [digest(source, *map(str, terms[1:]))]
            return files(source)
        except OSError as error:
            raise AnsibleError(f"model_runtime_source: {source} has no files of a package") from error
