"""The hosts of the premises: an inventory as Ansible reads it, validated without contacting any host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.ansible.environment import ansible_environment, ansible_program
from components.errors import PremisesError

if TYPE_CHECKING:
    from collections.abc import Mapping

# An inventory may be a script that asks a slow service.
_SECONDS = 120
_PROJECT = Path(__file__).parents[2]
_PASSWORD = "set ANSIBLE_VAULT_PASSWORD_FILE to the file that holds the vault's password"  # noqa: S105 - a remedy


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One host of the group `premises`: inventory name, address, and its groups.

    Attributes:
        name: its name in the inventory.
        address: what Ansible connects to.
        local: whether it is this machine (`ansible_connection: local`, wherever that is set).
        groups: the groups it is in.

    """

    name: str
    address: str
    local: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """An inventory.

    Attributes:
        path: the file, script or folder.
        hosts: the hosts of the group `premises`.
        groups: names of these hosts by group, in Ansible's order: the first one of `training` keeps the run.
        digest: changes with anything that Ansible reads for it, `group_vars` and `host_vars` included.

    """

    path: Path
    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
    digest: str

    def in_group(self, group: str) -> tuple[Host, ...]:
        """Return the hosts in `group`, in Ansible's order."""
        by_name = {host.name: host for host in self.hosts}
        return tuple(by_name[name] for name in self.groups.get(group, ()))


def read_inventory(path: Path, *, groups: tuple[str, ...], playbooks: Path = Path("ansible")) -> Inventory:
    """Read an inventory in any form that Ansible takes. It takes most of a second: once in a program.

    Args:
        path: a file, a script, or a folder of them.
        groups: groups below `premises` that need at least one host each.
        playbooks: the folder of the playbooks, whose `ansible.cfg`, `group_vars` and `host_vars` count too.

    Raises:
        PremisesError: there is no inventory, Ansible cannot read it, or one of `groups` has no host.

    """
    if not path.exists():
        message = (
            f"inventory {path} does not exist; set premises:inventory to one (ansible/inventory/example.yml)"
        )
        raise PremisesError(message)
    read = _read(path, playbooks)
    inventory = Inventory(
        path=path,
        hosts=tuple(Host(**{**host, "groups": tuple(host["groups"])}) for host in read["hosts"]),
        groups={name: tuple(members) for name, members in read["groups"].items()},
        digest=read["digest"],
    )
    for group in groups:
        if not inventory.groups.get(group):
            warned = f" (Ansible warns: {'; '.join(read['warnings'])})" if read["warnings"] else ""
            message = (
                f"inventory {path} has no host in the group {group!r} below 'premises'{warned}; add one to it"
            )
            raise PremisesError(message)
    return inventory


def _read(path: Path, playbooks: Path) -> dict[str, Any]:
    """Return the answer of the reader's process.

    Raises:
        PremisesError: it has none.

    """
    request = {"inventory": str(path.absolute()), "playbooks": str(playbooks.absolute())}
    with subprocess.Popen(
        [sys.executable, "-m", "components.ansible.inventory_reader"],
        cwd=_PROJECT,
        env=ansible_environment(playbooks),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Without a terminal nothing can ask for a password, and its scripts can be ended with it.
        start_new_session=True,
    ) as reader:
        try:
            answer, said = reader.communicate(json.dumps(request), timeout=_SECONDS)
        except BaseException as error:
            os.killpg(reader.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            message = (
                f"inventory {path} was not read in {_SECONDS} s; does one of its scripts wait for something?"
            )
            raise PremisesError(message) from None
    if not answer:
        last = said.strip().splitlines()[-1:] or [f"Ansible ended with {reader.returncode}"]
        raise PremisesError(f"inventory {path} cannot be read: {last[0]}; {_details(path)}")
    read: dict[str, Any] = json.loads(answer)
    if "error" in read:
        remedy = _PASSWORD if read["lacks_password"] else _details(path)
        raise PremisesError(f"inventory {path} cannot be read: {read['error']}; {remedy}")
    return read


def _details(path: Path) -> str:
    return f"{ansible_program('ansible-inventory')} -i {path} --list shows details"
