"""What a scenario whose data stays on the premises may not have: resources, settings, destinations. Pure: no I/O."""

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


# What a stack whose data stays on the premises may consist of. A list of what is allowed, so that a provider
# nobody thought of is refused too.
_PREMISES_TYPES = frozenset({"pulumi:pulumi:Stack", "pulumi:providers:pulumi-python"})
_STACK_REFERENCE = "pulumi:pulumi:StackReference"
_PREMISES_MODULES = ("pulumi-python:dynamic/premises:", "pulumi-python:dynamic/credentials:")
_PREMISES_NAMESPACES = {"model-deployment-scenarios", "premises", "pulumi"}
# RFC 1918 and RFC 4193. Not link-local ones: clouds have their metadata there.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def refuse_resource(scenario: Scenario, resource_type: str, name: str) -> None:
    """Refuse a resource outside the premises in a scenario whose data stays there.

    Args:
        scenario: that of the stack.
        resource_type: Pulumi type token, as in `aws:s3/bucket:Bucket`.
        name: the resource's name, for the message.

    Raises:
        ResidencyError: the resource is not on the premises.

    """
    allowed = resource_type in _PREMISES_TYPES or resource_type.startswith(_PREMISES_MODULES)
    # It sends nothing out: a release comes in by it, where training is somewhere else.
    allowed |= resource_type == _STACK_REFERENCE and scenario.placement.training is Place.UNSPECIFIED
    if scenario.keeps_data and not allowed:
        raise ResidencyError(
            f"{scenario.name} keeps its data on the premises, so it cannot have {resource_type} {name!r}; "
            f"remove the resource, or use a scenario with a cloud: {_with_cloud()}"
        )


def refuse_namespaces(stack: str, scenario: Scenario, namespaces: set[str]) -> None:
    """Refuse settings of cloud providers in a scenario whose data stays on the premises.

    Raises:
        ResidencyError: a namespace other than the project's, `premises` and `pulumi` is set.

    """
    foreign = sorted(namespaces - _PREMISES_NAMESPACES)
    if foreign and scenario.keeps_data:
        raise ResidencyError(
            f"stacks/Pulumi.{stack}.yaml: {scenario.name} keeps its data on the premises, so its settings cannot "
            f"name {', '.join(f'{name}:…' for name in foreign)}; remove them, or use a scenario with a cloud: "
            f"{_with_cloud()}"
        )


def refuse_destinations(stack: str, scenario: Scenario, destinations: Mapping[str, str]) -> None:
    """Refuse that hosts may call what is not on the premises, in a scenario whose data stays there.

    Args:
        stack: the stack's name, for the message.
        scenario: its scenario.
        destinations: addresses and networks, by the part of `premises:egress` that names them.

    Raises:
        ResidencyError: one of them is not, or not wholly, private.

    """
    public = [f"premises:egress.{key} is {to}" for key, to in destinations.items() if not _private(to)]
    if public and scenario.keeps_data:
        raise ResidencyError(
            f"stacks/Pulumi.{stack}.yaml: {', '.join(public)}: {scenario.name} keeps its data on the premises, "
            f"so its hosts may call private addresses alone ({', '.join(_PRIVATE)}); name a server on the "
            f"premises, such as a mirror, or use a scenario with a cloud: {_with_cloud()}"
        )


def _private(text: str) -> bool:
    """Whether all of a network is for private use. That it lies in the same building nobody can tell."""
    asked = ipaddress.ip_network(text)
    private = [ipaddress.ip_network(each) for each in _PRIVATE]
    return any(asked.version == each.version and asked.subnet_of(each) for each in private)  # type: ignore[arg-type]


def _with_cloud() -> str:
    return ", ".join(each.name for each in SCENARIOS.values() if not each.keeps_data)
