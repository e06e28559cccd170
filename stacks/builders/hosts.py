"""Managed hosts: firewalled and prepared first, admitted before they do any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.ansible.playbook import Playbook, PlaybookArgs
from components.errors import PremisesError
from stacks.builders.premises import ip_address

if TYPE_CHECKING:
    from components.ansible.inventory import Inventory
    from scenario_model.serve.settings import Serving
    from stacks.builders.premises import Deployment
    from stacks.settings.premises import Balancer, Egress, Premises


def prepare_hosts(
    on: Deployment, premises: Premises, serving: Serving, balancer: Balancer, *, preflight: Playbook
) -> Playbook:
    """Declare the hosts' preparation, if they are managed; return what the runtime depends on.

    Only settings of the hosts are inputs: a new release or limit does not touch them.

    Raises:
        PremisesError: a host cannot be managed.

    """
    if premises.egress is None:
        return preflight
    variables = egress_variables(on.stack, premises.egress, on.inventory) | {
        "serving": {"port": serving.port}
    }
    if on.inventory.in_group("balancer"):
        variables["balancer"] = {"port": balancer.port}
    arguments = PlaybookArgs(
        playbook="ansible/hosts.yml",
        inventory=on.inventory,
        variables={**on.bundle, **variables},
        teardown="ansible/hosts_reset.yml",
        removed_hosts=on.removed_hosts,
        preview_check=on.preview_check,
    )
    return Playbook(
        "hosts", arguments, pulumi.ResourceOptions(depends_on=[preflight], deleted_with=preflight)
    )


def admit_hosts(
    on: Deployment, premises: Premises, *, runtime: Playbook
) -> tuple[pulumi.Resource, dict[str, Any]]:
    """Declare the hosts' validation, if they are managed.

    Returns what training and serving depend on, and the stack's output `admission`: by host whether it is
    admitted, and what each of its devices reached, in TFLOP/s and GB/s.
    """
    if not premises.manage_hosts:
        return runtime, {}
    arguments = PlaybookArgs(
        playbook="ansible/validate_hosts.yml",
        inventory=on.inventory,
        variables={name: value for name, value in on.variables.items() if name.startswith("scenario_")},
    )
    validation = Playbook("validation", arguments, pulumi.ResourceOptions(depends_on=[runtime]))
    return validation, {"admission": validation.results["admission"]}


def egress_variables(stack: str, egress: Egress, inventory: Inventory) -> dict[str, Any]:
    """Return all variables of the hosts' firewall, by the roles' names; none are left to the inventory.

    Raises:
        PremisesError: a host is this machine, or has no address to put into a rule.

    """
    where = f"stacks/Pulumi.{stack}.yaml: premises:manageHosts"
    if here := [host.name for host in inventory.hosts if host.local]:
        message = (
            f"{where}: {', '.join(here)} is this machine, which would firewall itself; name hosts that are "
            "reached by SSH in premises:inventory, or remove manageHosts"
        )
        raise PremisesError(message)
    if nameless := [host.name for host in inventory.hosts if not _reaches(host.address)]:
        message = (
            f"{where}: firewall rules need addresses, and {', '.join(nameless)} has none in {inventory.path}; set "
            "ansible_host to the address by which the other hosts reach it"
        )
        raise PremisesError(message)
    return {
        "egress_admin_networks": list(egress.admin_networks),
        "egress_clients": list(egress.clients),
        "egress_peers": sorted({host.address for host in inventory.hosts}),
        "egress_allow": [
            entry.model_dump(exclude={"ports"}) | {"ports": list(entry.ports)} for entry in egress.allow
        ],
        "base_time_servers": list(egress.time_servers),
    }


def _reaches(text: str) -> bool:
    """Whether other hosts can reach a host by this text in a rule: a loopback address leads to themselves."""
    address = ip_address(text)
    return address is not None and not address.is_loopback
