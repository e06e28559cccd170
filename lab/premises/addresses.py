"""The lab's addresses: 1,024 private ones that are unused on this machine.

The range is split into four networks: the premises, the link to the outside network, the links to this
machine, and the link to the cloud.
"""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass

from lab import LabError
from lab.commands import run

MAX_HOSTS = 99
"""More would not fit into interface names, or on one machine."""

_PREFIX = 22
_CANDIDATES = [f"10.{second}.40.0/{_PREFIX}" for second in range(213, 253)]
_CANDIDATES += [f"172.{second}.40.0/{_PREFIX}" for second in range(24, 32)]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one lab."""

    network: str

    def _at(self, network: int, number: int) -> str:
        return str(ipaddress.ip_network(self.network)[network * 256 + number])

    @property
    def premises(self) -> str:
        """The network of the hosts."""
        return f"{self._at(0, 0)}/24"

    @property
    def router(self) -> str:
        """The router's address for the hosts."""
        return self._at(0, 1)

    def host(self, name: str) -> str:
        """Return the address of a host, derived from its name: it does not change when others come and go."""
        return self._at(0, 100 + int(name.rpartition("-")[2]))

    @property
    def router_outside(self) -> str:
        """The router's outside address: all traffic of the hosts has it there."""
        return self._at(1, 1)

    @property
    def outside(self) -> str:
        """The outside network's address, for a stand-in for a cloud."""
        return self._at(1, 2)

    @property
    def router_inside(self) -> str:
        """The router's address on the link to this machine."""
        return self._at(2, 1)

    @property
    def machine(self) -> str:
        """This machine's address for the hosts."""
        return self._at(2, 2)

    @property
    def cloud_network(self) -> str:
        """The cloud's network, behind the outside network."""
        return f"{self._at(3, 0)}/24"

    @property
    def outside_inward(self) -> str:
        """The outside network's address for the cloud."""
        return self._at(3, 1)

    @property
    def cloud(self) -> str:
        """The cloud's address for the premises: all its services have it."""
        return self._at(3, 2)

    @property
    def cloud_inside(self) -> str:
        """The cloud's address for this machine, on its own link."""
        return self._at(2, 5)

    @property
    def machine_of_cloud(self) -> str:
        """This machine's address for the cloud."""
        return self._at(2, 6)


def host_name(number: int) -> str:
    """Return the name of the host with a number, counted from 1."""
    return f"premises-{number}"


def free_network() -> str:
    """Choose a range: `$LAB_NETWORK`, or the first one that does not overlap with this machine's addresses and routes.

    Raises LabError if the given one, or every one, is in use.
    """
    used = _used()
    named = os.environ.get("LAB_NETWORK")
    if named:
        wanted = _read(named)
        if clash := next((each for each in used if each.overlaps(wanted)), None):
            remedy = "choose another, or leave LAB_NETWORK empty"
            raise LabError(f"LAB_NETWORK={named}: this machine uses {clash}", remedy=remedy)
        return str(wanted)
    for candidate in map(ipaddress.IPv4Network, _CANDIDATES):
        if not any(each.overlaps(candidate) for each in used):
            return str(candidate)
    remedy = f"set LAB_NETWORK to a private /{_PREFIX} that is free"
    raise LabError("all of the lab's address ranges are in use on this machine", remedy=remedy)


def _read(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"LAB_NETWORK={text}: {error}", remedy=f"write it as {_CANDIDATES[0]}") from None
    if not network.is_private or network.prefixlen != _PREFIX:
        raise LabError(
            f"LAB_NETWORK={text}: not a private /{_PREFIX}", remedy=f"write it as {_CANDIDATES[0]}"
        )
    return network


def _used() -> list[ipaddress.IPv4Network]:
    """List the networks of this machine's addresses and routes, except default routes."""
    told = [route["dst"] for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]))]
    for interface in json.loads(run(["ip", "-json", "-4", "address", "show"])):
        told += [f"{each['local']}/{each['prefixlen']}" for each in interface.get("addr_info", [])]
    used = [ipaddress.IPv4Network(each, strict=False) for each in told if each[0].isdecimal()]
    return [each for each in used if each.prefixlen]
