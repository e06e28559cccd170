"""The hosts of the premises: an Ansible inventory, read and validated without contacting any host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from components.ansible.sources import LenientLoader, digest_of_files
from components.errors import PremisesError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One host: inventory name, connection, and its groups below `premises`."""

    name: str
    address: str
    local: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """An inventory file, its hosts, and a digest that includes `group_vars` and `host_vars` next to it."""

    path: Path
    hosts: tuple[Host, ...]
    digest: str

    def in_group(self, group: str) -> tuple[Host, ...]:
        """Return the hosts in `group`, in inventory order."""
        return tuple(host for host in self.hosts if group in host.groups)


def read_inventory(path: Path, *, groups: tuple[str, ...]) -> Inventory:
    """Read a YAML inventory.

    Args:
        path: the file.
        groups: groups below `premises` that need at least one host each.

    Raises:
        PremisesError: no such file, not a YAML inventory, or one of `groups` has no host.

    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=LenientLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        message = (
            f"inventory {path} does not exist; set premises:inventory to one (ansible/inventory/example.yml)"
        )
        raise PremisesError(message) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"inventory {path} is not valid YAML: {' '.join(str(error).split())}"
        raise PremisesError(message) from None
    found: dict[str, dict[str, Any]] = {}
    membership: dict[str, list[str]] = {}
    _walk(path, tree if isinstance(tree, dict) else {}, (), {}, found, membership)
    hosts = tuple(
        Host(
            name=name,
            address=str(variables.get("ansible_host", name)),
            local=variables.get("ansible_connection") == "local",
            groups=tuple(dict.fromkeys(membership[name])),
        )
        for name, variables in found.items()
        if "premises" in membership[name]
    )
    for group in groups:
        if not any(group in host.groups for host in hosts):
            message = (
                f"inventory {path} has no host in the group {group!r} below 'premises'; add one under hosts:"
            )
            raise PremisesError(message)
    beside = [
        file for name in ("group_vars", "host_vars") for file in sorted((path.parent / name).rglob("*"))
    ]
    return Inventory(path=path, hosts=hosts, digest=digest_of_files([path, *beside], path.parent))


def _walk(
    path: Path,
    groups: dict[str, Any],
    above: tuple[str, ...],
    inherited: dict[str, Any],
    found: dict[str, dict[str, Any]],
    membership: dict[str, list[str]],
) -> None:
    """Collect hosts with their variables and groups; a host's own variables override its groups'."""
    for group, body in groups.items():
        if body is not None and not isinstance(body, dict):
            message = f"inventory {path}: group {group!r} is not a mapping of hosts, children and vars"
            raise PremisesError(message)
        body = body or {}
        variables = {**inherited, **(body.get("vars") or {})}
        for name, own in (body.get("hosts") or {}).items():
            found[name] = {**variables, **found.get(name, {}), **(own or {})}
            membership.setdefault(name, []).extend([*above, group])
        _walk(path, body.get("children") or {}, (*above, group), variables, found, membership)
