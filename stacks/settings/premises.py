"""The settings of the premises: hosts, what may be done to them, and their network access."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from scenario_model.config import Many, Section, Text, mistake
from scenario_model.serve.settings import Host, Port
from stacks.settings.base import LocalPath

_METADATA = tuple(ipaddress.ip_network(each) for each in ("169.254.169.254/32", "fd00:ec2::254/128"))
"""Metadata addresses, where clouds serve credentials."""


def _network(text: str) -> str:
    """Validate an address or network, as the role `egress` does on each host."""
    try:
        read = ipaddress.ip_network(text)
    except ValueError as error:
        raise mistake(f"{error}; write an address or a network, such as 10.2.0.0/16") from None
    if read.prefixlen == 0:
        raise mistake(f"{text} covers every address; name specific networks")
    if any(read.version == each.version and read.subnet_of(each) for each in _METADATA):  # type: ignore[arg-type]
        raise mistake(f"{text} serves a cloud's credentials; hosts must not reach it")
    return text


def _reason(text: str) -> str:
    """Validate a reason, which becomes a comment next to the rule."""
    if not re.fullmatch(r"[^\"\\\n]{1,100}", text):
        raise mistake("give one line of 1 to 100 characters, without quotes")
    return text


def _some(networks: tuple[str, ...]) -> tuple[str, ...]:
    if not networks:
        raise mistake(
            "name the addresses from which this machine reaches the hosts; without one nobody could log in"
        )
    return networks


Network = Annotated[Text, AfterValidator(_network)]
"""An address or a network, such as 10.2.0.0/16."""


class Destination(Section):
    """A destination that hosts may call, and the reason."""

    to: Network
    """Address or network."""
    protocol: Literal["tcp", "udp", "icmp"]
    """icmp is ping, without ports."""
    ports: Many[Port] = ()
    """Destination ports."""
    why: Annotated[Text, AfterValidator(_reason)]
    """Why; becomes a comment next to the rule."""

    @model_validator(mode="after")
    def _have_ports_where_there_are_some(self) -> Self:
        if (self.protocol == "icmp") == bool(self.ports):
            raise mistake("tcp and udp need ports; icmp must not have any")
        return self


class Egress(Section):
    """Firewall of the hosts: allowed sources and destinations; all else is closed, in both directions.

    Hosts of the inventory may always talk to each other.
    """

    admin_networks: Annotated[Many[Network], AfterValidator(_some)]
    """Networks that may log in by SSH: the addresses from which this machine reaches the hosts."""
    clients: Many[Network] = ()
    """Networks that may use the service."""
    time_servers: Many[Network] = ()
    """NTP servers of the hosts."""
    allow: Many[Destination] = ()
    """Destinations that hosts may call, for instance a package mirror."""

    def destinations(self) -> dict[str, str]:
        """Return every network that hosts may call, by the setting that names it."""
        called = {f"allow[{number}].to": entry.to for number, entry in enumerate(self.allow)}
        return called | {f"time_servers[{number}]": to for number, to in enumerate(self.time_servers)}


class Balancer(Section):
    """Where the balancer listens, if the inventory has a host in the group `balancer`."""

    host: Host = "0.0.0.0"  # noqa: S104 meant to be reachable
    """Address to listen on."""
    port: Port = 9443
    """Port to listen on."""


class Premises(Section):
    """The hosts, and what may be done to them."""

    inventory: LocalPath = "ansible/inventory/localhost.yml"
    """Ansible inventory of the hosts."""
    root: LocalPath | None = None
    """Folder on the hosts that holds everything; a relative one is below this project, for local hosts only.
    Default: /var/lib/model-deployment-scenarios, or ~/.local/share/model-deployment-scenarios without root."""
    bundle: LocalPath | None = None
    """Offline bundle (`make bundle`) for hosts without a package registry."""
    bundle_key: LocalPath | None = Field(default=None, alias="bundleKey")
    """PEM file of the public key that verifies the bundle."""
    preview_check: bool = Field(default=False, alias="previewCheck")
    """Run the playbooks in previews too, in check mode."""
    manage_hosts: bool = Field(default=False, alias="manageHosts")
    """Prepare, firewall and validate the hosts themselves; needs egress."""
    egress: Egress | None = None
    """Firewall of the hosts: allowed sources and destinations."""
    adopt: bool = False
    """Take over hosts that belong to another stack; remove the setting after the update."""
    removed_hosts: Many[Text] = Field(default=(), alias="removedHosts")
    """Hosts removed from the inventory for good that cannot be reached for cleanup."""

    @model_validator(mode="after")
    def _close_hosts_that_are_managed_and_no_others(self) -> Self:
        if self.manage_hosts and self.egress is None:
            raise mistake(
                "manageHosts closes the hosts to everything not listed, but egress is not set; "
                "set at least egress.admin_networks, the addresses from which this machine reaches the hosts"
            )
        if self.egress and not self.manage_hosts:
            raise mistake(
                "egress is set but manageHosts is not, so nothing would be closed; "
                "set manageHosts to true, or remove egress"
            )
        return self
