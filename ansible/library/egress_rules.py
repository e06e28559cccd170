#!/usr/bin/python
"""Ansible module: validate the egress settings and render them as nft rules; changes nothing."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.egress_rules import (
    Network,
    Policy,
    PolicyError,
    allowed,
    network,
    refusal_of,
    rules,
)

DOCUMENTATION = r"""
module: egress_rules
short_description: Validate the egress settings and render them as rules
description:
  - Fails if the rules would cut the SSH connection that runs the play.
options:
  admin_networks: {type: list, elements: str, required: true, description: [Who may use SSH.]}
  ssh_port: {type: int, default: 22, description: [The port of the SSH server.]}
  peers: {type: list, elements: str, default: [], description: [Hosts with unrestricted traffic among them.]}
  clients: {type: list, elements: str, default: [], description: [Who may connect to the serving port.]}
  serving_port: {type: int, default: 0, description: [Port open to clients; V(0) for none.]}
  time_servers: {type: list, elements: str, default: [], description: [NTP servers that this host may query.]}
  allow: {type: list, elements: dict, default: [], description: [Destinations that this host may reach.]}
  connection: {type: str, default: "", description: [SSH_CONNECTION of the play; empty if it uses none.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
rules: {type: str, returned: success, description: [Text for C(nft -f).]}
"""

_LISTS = ("admin_networks", "peers", "clients", "time_servers")


def _policy(params: dict[str, Any]) -> Policy:
    setting = {"time_servers": "base_time_servers"}
    lists: dict[str, list[Network]] = {
        name: [network(text, setting.get(name, f"egress_{name}")) for text in params[name]] for name in _LISTS
    }
    return Policy(
        **lists,
        ssh_port=params["ssh_port"],
        serving_port=params["serving_port"],
        allow=[allowed(entry, f"egress_allow[{number}]") for number, entry in enumerate(params["allow"])],
    )


def main() -> None:
    """Read, validate and return the rules."""
    entry: dict[str, Any] = {
        "to": {"type": "str", "required": True},
        "protocol": {"type": "str", "required": True, "choices": ["tcp", "udp", "icmp"]},
        "ports": {"type": "list", "elements": "int", "default": []},
        "why": {"type": "str", "required": True},
    }
    texts: dict[str, Any] = {name: {"type": "list", "elements": "str", "default": []} for name in _LISTS}
    module = AnsibleModule(
        argument_spec={
            **texts,
            "admin_networks": {"type": "list", "elements": "str", "required": True},
            "ssh_port": {"type": "int", "default": 22},
            "serving_port": {"type": "int", "default": 0},
            "allow": {"type": "list", "elements": "dict", "default": [], "options": entry},
            "connection": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        policy = _policy(module.params)
    except PolicyError as error:
        module.fail_json(msg=str(error))
    if refusal := refusal_of(policy, module.params["connection"]):
        module.fail_json(msg=refusal)
    module.exit_json(changed=False, rules=rules(policy))


if __name__ == "__main__":
    main()
