"""A playbook's sources, as digests: the part of a resource's identity that is in files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import yaml

from components.errors import PremisesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class LenientLoader(yaml.SafeLoader):
    """Safe YAML loader that reads Ansible's tags (`!vault`, `!unsafe`) as None: only the structure matters."""


LenientLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)

_ROLE_KEYS = frozenset(
    f"{prefix}{verb}_role" for prefix in ("", "ansible.builtin.") for verb in ("include", "import")
)
_PLAYBOOK_KEYS = frozenset({"import_playbook", "ansible.builtin.import_playbook"})
_PLUGINS = ("action_plugins", "filter_plugins", "library", "module_utils")
_SHARED = (*_PLUGINS, "group_vars", "host_vars", "tasks")
_IGNORED = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"})


def digest_of_files(files: Iterable[Path], base: Path) -> str:
    """Return `sha256:<hex>` over names below `base`, executable bits and contents; caches do not count."""
    total = hashlib.sha256()
    for file in sorted(set(files)):
        if not file.is_file() or _IGNORED & set(file.parts) or file.suffix == ".pyc":
            continue
        content = file.read_bytes()
        executable = file.stat().st_mode & 0o100
        name = file.relative_to(base).as_posix()
        total.update(f"{name}\0{executable}\0{len(content)}\0".encode() + content)
    return f"sha256:{total.hexdigest()}"


def package_digest(root: Path) -> str:
    """Return the digest of the model package and of its locked dependencies, below the project's `root`."""
    package = (root / "model" / "scenario_model").rglob("*")
    metadata = [root / "model" / "pyproject.toml", root / "requirements" / "model.lock"]
    return digest_of_files([*package, *metadata], root)


def playbook_sources(root: Path, playbook: str) -> dict[str, str]:
    """Return a digest for the playbook, for each role it uses in any way, and for what they share.

    Args:
        root: the project.
        playbook: its path below `root`.

    Returns:
        `{"serve.yml": "sha256:…", "roles/inference": "sha256:…", "shared": "sha256:…"}`.

    Raises:
        PremisesError: the playbook or a role does not exist, or is not YAML.

    """
    home = (root / playbook).parent
    digests: dict[str, str] = {}
    pending = [root / playbook]
    while pending:
        item = pending.pop()
        name = item.relative_to(home).as_posix() if item.is_relative_to(home) else item.name
        if name in digests:
            continue
        if not item.exists():
            message = f"{playbook} uses {name}, which is not in {home}"
            raise PremisesError(message)
        files = [item] if item.is_file() else sorted(item.rglob("*"))
        digests[name] = digest_of_files(files, home)
        for file in files:
            if file.suffix in {".yml", ".yaml"} and "templates" not in file.parts:
                pending += [home / used for used in _uses(_parsed(file))]
    shared = [home / "ansible.cfg"]
    for folder in _SHARED:
        shared += sorted((home / folder).rglob("*"))
    digests["shared"] = digest_of_files(shared, home)
    return dict(sorted(digests.items()))


def _parsed(file: Path) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=LenientLoader)  # noqa: S506 - a SafeLoader
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"{file} is not YAML: {' '.join(str(error).split())}"
        raise PremisesError(message) from None


def _uses(node: Any) -> Iterator[str]:
    """Yield the paths, relative to the playbook's folder, of roles and playbooks that a YAML tree names."""
    if isinstance(node, list):
        for item in node:
            yield from _uses(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in _PLAYBOOK_KEYS and isinstance(value, str):
            yield value
        elif key in _ROLE_KEYS and isinstance(value, dict) and isinstance(value.get("name"), str):
            yield f"roles/{value['name']}"
        elif key in {"roles", "dependencies"} and isinstance(value, list):
            for entry in value:
                name = entry if isinstance(entry, str) else entry.get("role", entry.get("name"))
                yield f"roles/{name}"
        else:
            yield from _uses(value)
