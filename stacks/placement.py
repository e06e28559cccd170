"""Where each scenario puts training, serving, inference and data, and what follows. Pure: no I/O."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Place(StrEnum):
    """Where one concern of a scenario lives."""

    PREMISES = "premises"
    """On hosts of the customer, reached by Ansible."""
    CLOUD = "cloud"
    """In a public cloud or any Kubernetes cluster."""
    EXCHANGED = "exchanged"
    """On both sides; only what the exchange contract names crosses."""
    UNSPECIFIED = "unspecified"
    """The user's choice; it comes in, or goes out, as a signed release."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """One scenario: what it means and where its four concerns are."""

    meaning: str
    training: Place
    serving: Place
    inference: Place
    data: Place

    def as_output(self) -> dict[str, str]:
        """Return the four places by name, as the stack output `placement` shows them."""
        return {name: str(getattr(self, name)) for name in ("training", "serving", "inference", "data")}


SCENARIOS: Mapping[str, Placement] = MappingProxyType(
    {
        "s1-local-serving": Placement(
            meaning="everything on the customer's premises: privacy, low latency",
            training=Place.UNSPECIFIED,
            serving=Place.PREMISES,
            inference=Place.PREMISES,
            data=Place.PREMISES,
        ),
        "s2-cloud-training": Placement(
            meaning="train in the public cloud from a foundation model",
            training=Place.CLOUD,
            serving=Place.UNSPECIFIED,
            inference=Place.UNSPECIFIED,
            data=Place.CLOUD,
        ),
        "s3-local": Placement(
            meaning="train and serve on the premises",
            training=Place.PREMISES,
            serving=Place.PREMISES,
            inference=Place.PREMISES,
            data=Place.PREMISES,
        ),
        "s4-cloud-serving": Placement(
            meaning="the cloud serves the model, inference happens on the premises",
            training=Place.UNSPECIFIED,
            serving=Place.CLOUD,
            inference=Place.PREMISES,
            data=Place.EXCHANGED,
        ),
    }
)
"""The four scenarios by stack name."""


class PlacementError(Exception):
    """A stack that is no scenario, or a resource or setting that its placement forbids."""


# What a stack whose data stays on the premises may consist of. A list of what is allowed, so that a provider
# nobody thought of is refused too.
_PREMISES_TYPES = frozenset({"pulumi:pulumi:Stack", "pulumi:providers:pulumi-python"})
_STACK_REFERENCE = "pulumi:pulumi:StackReference"
_PREMISES_MODULES = ("pulumi-python:dynamic/premises:", "pulumi-python:dynamic/credentials:")
# RFC 1918 and RFC 4193. Not link-local ones: clouds have their metadata there.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def placement_of(stack: str) -> Placement:
    """Return the placement of the scenario that `stack` is named after.

    Raises:
        PlacementError: there is no such scenario.

    """
    if stack not in SCENARIOS:
        message = (
            f"no scenario is named {stack!r}; a stack is named after its scenario: {', '.join(SCENARIOS)}"
        )
        raise PlacementError(message)
    return SCENARIOS[stack]


def refuse_resource(stack: str, resource_type: str, name: str) -> None:
    """Refuse a resource outside the premises in a scenario whose data stays on the premises.

    Args:
        stack: the scenario's name.
        resource_type: Pulumi type token, as in `aws:s3/bucket:Bucket`.
        name: the resource's name, for the message.

    Raises:
        PlacementError: the resource is not one of the premises'.

    """
    placement = placement_of(stack)
    allowed = resource_type in _PREMISES_TYPES or resource_type.startswith(_PREMISES_MODULES)
    # It sends nothing out: a release comes in by it, where training is somewhere else.
    allowed |= resource_type == _STACK_REFERENCE and placement.training is Place.UNSPECIFIED
    if placement.data is Place.PREMISES and not allowed:
        message = (
            f"{stack} keeps its data on the premises, so it cannot have {resource_type} {name!r}; "
            f"remove the resource, or use a scenario with a cloud: {', '.join(_with_cloud())}"
        )
        raise PlacementError(message)


def refuse_namespaces(stack: str, namespaces: set[str]) -> None:
    """Refuse settings of providers in a scenario whose data stays on the premises.

    Raises:
        PlacementError: a namespace other than the project's, `premises` and `pulumi` is set.

    """
    foreign = sorted(namespaces - {"model-deployment-scenarios", "premises", "pulumi"})
    if foreign and placement_of(stack).data is Place.PREMISES:
        message = (
            f"{stack} keeps its data on the premises, so its settings cannot name "
            f"{', '.join(f'{name}:…' for name in foreign)}; remove them, or use a scenario with a cloud: "
            f"{', '.join(_with_cloud())}"
        )
        raise PlacementError(message)


def refuse_destinations(stack: str, destinations: Mapping[str, str]) -> None:
    """Refuse that hosts may call what is not on the premises, in a scenario whose data stays there.

    Args:
        stack: the scenario's name.
        destinations: addresses and networks, by the part of `premises:egress` that names them.

    Raises:
        PlacementError: one of them is not, or not wholly, private.

    """
    public = [f"premises:egress.{key} is {to}" for key, to in destinations.items() if not _private(to)]
    if public and placement_of(stack).data is Place.PREMISES:
        message = (
            f"stacks/Pulumi.{stack}.yaml: {', '.join(public)}: {stack} keeps its data on the premises, so "
            f"its hosts may call private addresses alone ({', '.join(_PRIVATE)}); name a server on the "
            f"premises, such as a mirror, or use a scenario with a cloud: {', '.join(_with_cloud())}"
        )
        raise PlacementError(message)


def _private(text: str) -> bool:
    """Whether all of a network is for private use. That it lies in the same building nobody can tell."""
    asked = ipaddress.ip_network(text)
    private = [ipaddress.ip_network(each) for each in _PRIVATE]
    return any(asked.version == each.version and asked.subnet_of(each) for each in private)  # type: ignore[arg-type]


def _with_cloud() -> list[str]:
    return [name for name, placement in SCENARIOS.items() if placement.data is not Place.PREMISES]
