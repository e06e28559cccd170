"""Reads an inventory with Ansible's own library, in a process of its own: the library patches the Python it runs in.

The request on standard input names the inventory and the folder of the playbooks. The answer on standard output is
hosts, groups and a digest, or an `error`. Other variables of hosts may be secret and do not leave this process.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from ansible.cli import CLI
from ansible.cli.inventory import InventoryCLI
from ansible.constants import DEFAULT_TRANSPORT, DEFAULT_VAULT_IDENTITY_LIST, MAGIC_VARIABLE_MAPPING
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import add_all_plugin_dirs, init_plugin_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from components.ansible.inventory_digest import inventory_digest

_GROUP = "premises"
_LOCAL = frozenset({"local", "ansible.builtin.local", "ansible.legacy.local"})
# Ansible sets these to where the inventory lies on this machine.
_PLACES = frozenset({"inventory_dir", "inventory_file"})
_YAML = frozenset({".yml", ".yaml", ".json"})
_UNPARSED = "Completely failed to parse inventory source "
_NO_PASSWORD = re.compile("no vault secrets|vault password")


class _RecordingLoader(DataLoader):
    """Ansible's reader of files; it remembers which ones it read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[Path] = set()
        self.latest = Path()

    def _get_file_contents(self, file_name: str) -> tuple[bytes, bool]:
        self.latest = Path(os.path.realpath(self.path_dwim(file_name)))
        self.read.add(self.latest)
        contents: tuple[bytes, bool] = super()._get_file_contents(file_name)
        return contents


def described(inventory: str, playbooks: str) -> dict[str, Any]:
    """Return what Ansible reads for the playbooks of a folder, or an error."""
    warnings: list[str] = []
    failures: list[Exception] = []
    display = Display()
    # Ansible warns once for each plugin that cannot parse a source, then fails without a reason.
    display.error_as_warning = lambda msg, exception, **_: failures.append(exception)  # noqa: ARG005
    display.warning = lambda msg, *_, **__: warnings.append(_one_line(msg))
    try:
        return _described(inventory, playbooks) | {"warnings": warnings}
    except AnsibleError as error:
        text = _one_line(error)
        reason = _unparsed(text, failures) if text.startswith(_UNPARSED) else text
        return {"error": reason, "lacks_password": bool(_NO_PASSWORD.search(text))}


def _described(inventory: str, playbooks: str) -> dict[str, Any]:
    InventoryCLI(["ansible-inventory", "--list", "-i", inventory, "--playbook-dir", playbooks]).parse()
    init_plugin_loader()
    add_all_plugin_dirs(playbooks)
    loader = _RecordingLoader()
    loader.set_basedir(playbooks)
    # Never asks: there is nobody to answer.
    CLI.setup_vault_secrets(loader, list(DEFAULT_VAULT_IDENTITY_LIST), auto_prompt=False)
    manager = InventoryManager(loader=loader, sources=[inventory])
    variables = VariableManager(loader=loader, inventory=manager)
    HostVars(manager, variables, loader)  # makes `hostvars` available to templates
    group = manager.groups.get(_GROUP)
    names = [host.name for host in group.get_hosts()] if group else []
    ours = set(names)
    members = {
        group: [name for name in hosts if name in ours]
        for group, hosts in manager.get_groups_dict().items()
        if group not in {"all", "ungrouped"}
    }
    hosts = [
        _host(loader, variables, manager.hosts[name])
        | {"groups": [group for group, hosts in members.items() if name in hosts]}
        for name in names
    ]
    digest = inventory_digest(loader.read, _answers(manager), [inventory, playbooks])  # once all is read
    return {"hosts": hosts, "groups": members, "digest": digest}


def _host(loader: _RecordingLoader, variables: VariableManager, host: Any) -> dict[str, Any]:
    """Return a host's name, its address, and whether it is this machine."""
    try:
        known = variables.get_vars(host=host)
    except AnsibleError as error:
        raise AnsibleError(f"{loader.latest.name}, variables of {host.name}") from error
    templar = Templar(loader=loader, variables=known)

    def value(names: tuple[str, ...], default: str) -> str:
        """Return the variable that a connection would use, the first of `names` that is set."""
        name = next((each for each in names if known.get(each) is not None), None)
        if name is None:
            return default
        try:
            text = str(templar.template(known[name])).strip()
        except AnsibleError as error:
            raise AnsibleError(f"{host.name}: {name}, needed before a host is contacted") from error
        if not text:
            raise AnsibleError(f"{host.name}: {name} is empty")
        return text

    return {
        "name": host.name,
        "address": value(MAGIC_VARIABLE_MAPPING["remote_addr"], host.name),
        "local": value(MAGIC_VARIABLE_MAPPING["connection"], DEFAULT_TRANSPORT) in _LOCAL,
    }


def _answers(manager: InventoryManager) -> str:
    """Return what the sources of the inventory, scripts among them, answered; vaulted values stay encrypted."""
    kinds = {"hosts": manager.hosts, "groups": manager.groups}
    answers: dict[str, Any] = {
        kind: {
            name: {key: value for key, value in each.vars.items() if key not in _PLACES}
            for name, each in items.items()
        }
        for kind, items in kinds.items()
    }
    members = {name: [host.name for host in group.hosts] for name, group in manager.groups.items()}
    return str(InventoryCLI.dump(answers | {"members": members}))


def _unparsed(error: str, failures: list[Exception]) -> str:
    """Return why a source cannot be parsed: the reason of the plugin that is meant for its form."""
    source = Path(error.removeprefix(_UNPARSED))
    if not failures:
        return error
    # Plugins' configurations are YAML too: that it is none of them is not the reason.
    meant = [each for each in failures if "no root 'plugin' key" not in str(each)] or failures
    first = os.access(source, os.X_OK) or source.suffix in _YAML
    failure = meant[0 if first else -1]
    # The parser of INI files quotes what it cannot parse, which may be a secret.
    text = re.split(r", got:| '", _one_line(failure))[0].rstrip(".")
    line = getattr(getattr(failure, "obj", None), "line_num", None)
    return f"{source.name}{f', line {line}' if line else ''}: {text}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def main() -> None:
    """Answer on standard output, and let Ansible write to standard error only."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    os.chdir(request["playbooks"])  # as a run does: scripts may depend on it
    json.dump(described(**request), answers)
    answers.flush()


if __name__ == "__main__":
    main()
