"""Data residency: what a scenario whose data stays on the premises must not have. Pure: no I/O."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from stacks.placement import Place
from stacks.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacks.scenarios import Scenario


class ResidencyError(Exception):
    """A resource or a setting would let data leave the premises."""


# Resources allowed in a stack whose data stays on the premises. An allowlist, so that an unforeseen provider
# is refused too. Pulumi's own provider asks for other stacks' outputs alone.
_PREMISES_TYPES = frozenset(
    {"pulumi:pulumi:Stack", "pulumi:providers:pulumi", "pulumi:providers:pulumi-python"}
)
_STACK_REFERENCE = "pulumi:pulumi:StackReference"
_PREMISES_MODULES = ("pulumi-python:dynamic/premises:", "pulumi-python:dynamic/credentials:")
_PREMISES_NAMESPACES = {"model-deployment-scenarios", "premises", "pulumi"}
# RFC 1918 and RFC 4193. Not link-local: clouds serve their metadata there.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def refuse_resource(scenario: Scenario, resource_type: str, name: str) -> None:
    """Refuse a resource outside the premises in a scenario whose data stays there.

    Args:
        scenario: the stack's scenario.
        resource_type: Pulumi type token, as in `aws:s3/bucket:Bucket`.
        name: the resource's name, for the message.

    Raises:
        ResidencyError: the resource is not on the premises.

    """
    allowed = resource_type in _PREMISES_TYPES or resource_type.startswith(_PREMISES_MODULES)
    # It sends nothing out: it brings in a release that was trained elsewhere.
    allowed |= resource_type == _STACK_REFERENCE and scenario.placement.training is Place.UNSPECIFIED
    if scenario.keeps_data and not allowed:
        raise ResidencyError(
            f"{scenario.name} keeps its data on the premises, so {resource_type} {name!r} is not allowed; "
            f"remove the resource, or use a scenario with a cloud: {_with_cloud()}"
        )


def refuse_namespaces(stack: str, scenario: Scenario, namespaces: set[str]) -> None:
    """Refuse settings of cloud providers in a scenario whose data stays on the premises.

    Raises:
        ResidencyError: a setting is outside the namespaces of the project, `premises` and `pulumi`.

    """
    foreign = sorted(namespaces - _PREMISES_NAMESPACES)
    if foreign and scenario.keeps_data:
        raise ResidencyError(
            f"stacks/Pulumi.{stack}.yaml: {scenario.name} keeps its data on the premises, so settings "
            f"{', '.join(f'{name}:…' for name in foreign)} are not allowed; remove them, or use a scenario "
            f"with a cloud: {_with_cloud()}"
        )


def refuse_destinations(stack: str, scenario: Scenario, destinations: Mapping[str, str]) -> None:
    """Refuse egress to anything outside the premises in a scenario whose data stays there.

    Args:
        stack: the stack's name, for the message.
        scenario: its scenario.
        destinations: addresses and networks, by their key in `premises:egress`.

    Raises:
        ResidencyError: one of them is not entirely private.

    """
    public = [f"premises:egress.{key} is {to}" for key, to in destinations.items() if not is_private(to)]
    if public and scenario.keeps_data:
        raise ResidencyError(
            f"stacks/Pulumi.{stack}.yaml: {', '.join(public)}: {scenario.name} keeps its data on the premises, "
            f"so its hosts may call private addresses only ({', '.join(_PRIVATE)}); name a server on the "
            f"premises, such as a mirror, or use a scenario with a cloud: {_with_cloud()}"
        )


def is_private(text: str) -> bool:
    """Whether a whole network is for private use. Whether it is on the same site cannot be checked."""
    asked = ipaddress.ip_network(text)
    private = [ipaddress.ip_network(each) for each in _PRIVATE]
    return any(asked.version == each.version and asked.subnet_of(each) for each in private)  # type: ignore[arg-type]


def _with_cloud() -> str:
    return ", ".join(each.name for each in SCENARIOS.values() if not each.keeps_data)
