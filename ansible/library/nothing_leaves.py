#!/usr/bin/python
"""Ansible module: fail if a packet to any of the given addresses would leave this host."""

from __future__ import annotations

import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: nothing_leaves
short_description: Fail if a packet to any of the given addresses would leave this host
description:
  - Sends one datagram to each. A datagram that the kernel accepts counts as sent; one that is rejected, or
    has no route, does not.
options:
  addresses: {type: list, elements: str, required: true, description: [Addresses that must be unreachable.]}
author: [model-deployment-scenarios]
"""
RETURN = r""" # """

_DISCARD = 9


def leaves(address: str) -> bool:
    """Return whether the kernel sends a datagram to an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\0", (address, _DISCARD))
    except OSError:  # rejected by a rule; no route; address family not supported
        return False
    return True


def main() -> None:
    """Test each address and name the reachable ones."""
    options: dict[str, Any] = {"addresses": {"type": "list", "elements": "str", "required": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    if open_ones := [each for each in module.params["addresses"] if leaves(each)]:
        module.fail_json(
            msg=f"packets to {', '.join(open_ones)} leave this host, although no rule allows them"
        )
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
