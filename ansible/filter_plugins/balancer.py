"""Ansible filters: what a balancer is told while its servers change."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Told = dict[str, Any]
    """`host`, `port` and `certificate` of the balancer; `servers`, and the `authorities` that it trusts."""


def server_addresses(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], port: int
) -> list[dict[str, Any]]:
    """Return the servers of a balancer, named after their hosts.

    `host` is the inventory's name, by which plays ask for a server; `verifies` is the name that its
    certificate must have.
    """
    return [
        {
            "name": host,
            "host": host,
            "verifies": host,
            "address": str(hostvars[host].get("ansible_host", host)),
            "port": int(port),
            "untried": False,
        }
        for host in hosts
    ]


def with_servers_of(told: Told, wanted: Told) -> Told:
    """Return what a balancer is told while its servers change from those that it knows to those wanted.

    It keeps listening as before. Former servers have no `host`: plays ask for those to come, which are `untried`:
    haproxy takes a server that it does not know yet for a ready one until its first check, and prefers an idle one.
    """
    known = {_place(server) for server in told["servers"] if not server.get("untried")}
    coming = {_place(server) for server in wanted["servers"]}
    former = [server for server in told["servers"] if _place(server) not in coming]
    servers = [server | {"untried": _place(server) not in known} for server in wanted["servers"]]
    for number, server in enumerate(former, 1):
        servers.append(server | {"name": f"former-{number}", "host": ""})
    authorities = [*dict.fromkeys([*told["authorities"], *wanted["authorities"]])]
    return told | {"servers": servers, "authorities": authorities}


def nameless(hosts: Iterable[str]) -> list[str]:
    """Return the hosts that have an address for a name: haproxy compares names in certificates, not addresses."""
    return [host for host in hosts if _is_address(host)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _place(server: dict[str, Any]) -> tuple[str, str, int]:
    return server["verifies"], server["address"], server["port"]


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {each.__name__: each for each in (server_addresses, with_servers_of, nameless)}
