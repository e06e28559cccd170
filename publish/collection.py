"""Builds the Ansible collection `scenario.model` from `ansible/`, which keeps the layout of plain Ansible.

A collection keeps plugins in `plugins/<kind>` and refers to much of its own code by fully qualified names.
Playbooks find the model package and the locks in `{{ playbook_dir }}/..`, so both go to the collection's
root. Layout: <https://docs.ansible.com/ansible/latest/dev_guide/developing_collections_structure.html>.
"""

from __future__ import annotations

import re
import runpy
import shutil
from typing import TYPE_CHECKING

from publish import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAMESPACE, NAME = "scenario", "model"
_SOURCE = ROOT / "ansible"
_PLUGINS = {
    "library": "modules",
    "module_utils": "module_utils",
    "action_plugins": "action",
    "callback_plugins": "callback",
    "filter_plugins": "filter",
}
_LOCKS = ("foundation", "model", "uv", "vllm")
"""Locks of the packages that roles install on hosts."""

_GALAXY = """\
namespace: {namespace}
name: {name}
version: {version}
readme: README.md
authors:
  - model-deployment-scenarios
description: Trains, evaluates, signs, releases and serves a language model on your own hosts
license: [Apache-2.0]
tags: [ai, machine_learning, inference, airgap]
dependencies: {{}}
"""

_RUNTIME = 'requires_ansible: ">=2.16.0"\n'

_README = """\
# scenario.model

`ansible-playbook -i inventory.yml scenario.model.site` trains, releases and serves a model on the hosts of
the inventory. `playbooks/inventory/example.yml` is an inventory to start from; `playbooks/ansible.cfg`
(`ANSIBLE_CONFIG`) holds the settings that the playbooks are tested with. To see training progress, add
`scenario.model.training_progress` to `callbacks_enabled`. `site.yml` below is `scenario.model.site` here.

"""

_IGNORED = shutil.ignore_patterns("__pycache__", ".ansible", "build", "*.egg-info")


def stage(tree: Path, version: str) -> None:
    """Write the collection to a new folder, for `ansible-galaxy collection build`."""
    tree.mkdir(parents=True)
    for folder, kind in _PLUGINS.items():
        shutil.copytree(_SOURCE / folder, tree / "plugins" / kind, ignore=_IGNORED)
    shutil.copytree(_SOURCE / "roles", tree / "roles", ignore=_IGNORED)
    playbooks = tree / "playbooks"
    for folder in ("inventory", "tasks"):
        shutil.copytree(_SOURCE / folder, playbooks / folder, ignore=_IGNORED)
    for path in [_SOURCE / "ansible.cfg", *_SOURCE.glob("*.yml")]:
        shutil.copy(path, playbooks)
    _use_full_names(tree)
    shutil.copytree(ROOT / "model", tree / "model", ignore=_IGNORED)
    (tree / "requirements").mkdir()
    for name in _LOCKS:
        shutil.copy(ROOT / "requirements" / f"{name}.lock", tree / "requirements")
    shutil.copy(ROOT / "LICENSE", tree)
    (tree / "meta").mkdir()
    (tree / "meta" / "runtime.yml").write_text(_RUNTIME, encoding="utf-8")
    readme = _README + (_SOURCE / "README.md").read_text(encoding="utf-8")
    (tree / "README.md").write_text(readme, encoding="utf-8")
    galaxy = _GALAXY.format(namespace=NAMESPACE, name=NAME, version=version)
    (tree / "galaxy.yml").write_text(galaxy, encoding="utf-8")


def _use_full_names(tree: Path) -> None:
    """Use fully qualified names where Ansible does not search the collection: in imports and filters.

    It does search it for modules, actions and roles.
    """
    utilities = _any_of(path.stem for path in (_SOURCE / "module_utils").glob("*.py"))
    home = f"ansible_collections.{NAMESPACE}.{NAME}.plugins.module_utils"
    code = {
        rf"^from ansible\.module_utils\.({utilities}) import": rf"from {home}.\1 import",
        rf"^from ansible\.module_utils import ({utilities})$": rf"from {home} import \1",
    }
    filters = _any_of(filter_names())
    text = {
        rf"(\|\s*)({filters})\b": rf"\1{NAMESPACE}.{NAME}.\2",
    }
    for path in tree.rglob("*"):
        changes = {".py": code, ".yml": text, ".j2": text}.get(path.suffix, {})
        if changes and path.is_file():
            content = path.read_text(encoding="utf-8")
            for old, new in changes.items():
                content = re.sub(old, new, content, flags=re.MULTILINE)
            path.write_text(content, encoding="utf-8")


def filter_names() -> list[str]:
    """Return the names of our filters, as registered with Ansible."""
    names: list[str] = []
    for path in (_SOURCE / "filter_plugins").glob("*.py"):
        found = runpy.run_path(str(path))["FilterModule"]().filters()
        names += sorted(found)
    return names


def _any_of(names: Iterable[str]) -> str:
    return "|".join(sorted(names))
