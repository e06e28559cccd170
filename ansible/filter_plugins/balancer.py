"""Ansible filters: what a balancer is told while its servers change."""

from __future__ import annotations

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
        }
        for host in hosts
    ]


def with_servers_of(told: Told, wanted: Told) -> Told:
    """Return what a balancer is told while its servers change from those that it knows to those wanted.

    It keeps listening as before. Former servers have no `host`: plays ask for those to come.
    """
    coming = {_place(server): server for server in wanted["servers"]}
    former = [server for server in told["servers"] if _place(server) not in coming]
    servers = [*wanted["servers"]]
    for number, server in enumerate(former, 1):
        servers.append(server | {"name": f"former-{number}", "host": ""})
    authorities = [*dict.fromkeys([*told["authorities"], *wanted["authorities"]])]
    return told | {"servers": servers, "authorities": authorities}


def _place(server: dict[str, Any]) -> tuple[str, str, int]:
    return server["verifies"], server["address"], server["port"]


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {each.__name__: each for each in (server_addresses, with_servers_of)}
