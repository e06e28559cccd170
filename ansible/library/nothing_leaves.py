#!/usr/bin/python
"""Ansible module: fail if a packet to one of some addresses would leave this host."""

from __future__ import annotations

import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: nothing_leaves
short_description: Fail if a packet to one of some addresses would leave this host
description:
  - Sends one datagram to each. One that the kernel takes has left; one that is refused, or has no route,
    has not.
options:
  addresses: {type: list, elements: str, required: true, description: [Addresses that no packet may go to.]}
author: [model-deployment-scenarios]
"""
RETURN = r""" # """

_DISCARD = 9


def leaves(address: str) -> bool:
    """Tell whether the kernel sends a datagram to an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\0", (address, _DISCARD))
    except OSError:  # refused by a rule; no route; no such family here
        return False
    return True


def main() -> None:
    """Try each, name those that are open."""
    options: dict[str, Any] = {"addresses": {"type": "list", "elements": "str", "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    if open_ones := [each for each in module.params["addresses"] if leaves(each)]:
        module.fail_json(msg=f"packets to {', '.join(open_ones)} leave this host, which no rule allows")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
