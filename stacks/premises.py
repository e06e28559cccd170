"""The settings of the premises: which hosts, what may be done to them, and whom they may talk to."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from stacks.sections import LocalPath, Section, mistake

_METADATA = tuple(ipaddress.ip_network(each) for each in ("169.254.169.254/32", "fd00:ec2::254/128"))
"""Where clouds hand out credentials."""


def _network(text: str) -> str:
    """Check an address or a network, as the role `egress` does on each host."""
    try:
        read = ipaddress.ip_network(text)
    except ValueError as error:
        raise mistake(f"{error}; write an address or a network, such as 10.2.0.0/16") from None
    if read.prefixlen == 0:
        raise mistake(f"{text} is every address there is; name the networks that are meant")
    if any(read.version == each.version and read.subnet_of(each) for each in _METADATA):  # type: ignore[arg-type]
        raise mistake(f"{text} is where clouds hand out credentials; no host may ask there")
    return text


def _reason(text: str) -> str:
    """Check a reason, which stands beside the rule as a comment."""
    if not re.fullmatch(r"[^\"\\\n]{1,100}", text):
        raise mistake("give one line of 1 to 100 characters, without quotes")
    return text


def _some(networks: tuple[str, ...]) -> tuple[str, ...]:
    if not networks:
        raise mistake(
            "name the addresses that this machine has for the hosts; without one nobody could log in"
        )
    return networks


NetworkText = Annotated[str, AfterValidator(_network)]
# Strict: true would pass for 1.
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]


class Destination(Section):
    """One destination that hosts may call, and why; `icmp` is ping and has no ports."""

    to: NetworkText
    protocol: Literal["tcp", "udp", "icmp"]
    ports: tuple[Port, ...] = ()
    why: Annotated[str, AfterValidator(_reason)]

    @model_validator(mode="after")
    def _have_ports_where_there_are_some(self) -> Self:
        if (self.protocol == "icmp") == bool(self.ports):
            raise mistake("tcp and udp need ports, icmp has none")
        return self


class Egress(Section):
    """Who may call the hosts, and whom they may call; all else is closed, in both directions.

    `controllers` may log in by SSH, `clients` may use the service. Hosts of the inventory may always talk to
    each other.
    """

    controllers: Annotated[tuple[NetworkText, ...], AfterValidator(_some)]
    clients: tuple[NetworkText, ...] = ()
    time_servers: tuple[NetworkText, ...] = ()
    allow: tuple[Destination, ...] = ()

    def destinations(self) -> dict[str, str]:
        """Return every network that hosts may call by themselves, by the setting that names it."""
        called = {f"allow.{number}.to": entry.to for number, entry in enumerate(self.allow)}
        return called | {f"time_servers.{number}": to for number, to in enumerate(self.time_servers)}


class Premises(Section):
    """Which hosts, and what may be done to them when; `gone` are hosts that left the inventory for good."""

    inventory: Annotated[str, StringConstraints(min_length=1)] = "ansible/inventory/localhost.yml"
    root: Annotated[str, StringConstraints(min_length=1)] | None = None
    bundle: LocalPath | None = None
    bundle_key: LocalPath | None = Field(default=None, alias="bundleKey")
    preview_check: bool = Field(default=False, alias="previewCheck")
    manage_hosts: bool = Field(default=False, alias="manageHosts")
    egress: Egress | None = None
    gone: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _close_hosts_that_are_managed_and_no_others(self) -> Self:
        if self.manage_hosts and self.egress is None:
            raise mistake(
                "manageHosts closes the hosts to all that is not listed, and egress is not set; "
                "name at least egress.controllers, the addresses that this machine has for the hosts"
            )
        if self.egress and not self.manage_hosts:
            raise mistake(
                "egress is set and manageHosts is not, so nothing would be closed; "
                "set manageHosts to true, or remove egress"
            )
        return self
