"""The cost of a stack's resources, before and after a change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from previews.costs.prices import Price, instance, listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from previews.events import Step

_NODES, _TEMPLATE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/launchTemplate:LaunchTemplate"
_DISKS = "disks of nodes, by GiB"
_Charge = tuple[str, float | None, Price | None]
"""What costs, how many of it, and its price; None: not known."""
# Billed by what is done with them, which nobody knows here; a load balancer also by the hour.
_BY_USE: tuple[str, ...] = (
    *("aws:s3/bucket:", "aws:ecr/repository:", "aws:cloudwatch/logGroup:"),
    *("aws:lb/loadBalancer:", "aws:ec2/vpcEndpointService:"),
)


@dataclass(slots=True)
class Estimate:
    """Sum of what has a price.

    Attributes:
        per_hour: US dollars; the least, if something has no price.
        lines: what costs, how many of it, and its price.
        unpriced: what costs, but has no price here.

    """

    per_hour: float = 0.0
    lines: list[tuple[str, float, Price]] = field(default_factory=list)
    unpriced: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of resources that cost and have a price."""
        number = len(self.lines) + len(self.unpriced)
        return len(self.lines) / number if number else 1.0


def estimate(resources: Iterable[tuple[str, str, Mapping[str, Any]]], region: str) -> Estimate:
    """Add up what resources cost. `resources`: type, name and inputs of each.

    A group of nodes has its disks, and its instance type if it does not say, from the launch template of the same name;
    of several types the dearest counts.
    """
    known, made = list(resources), Estimate()
    templates = {name: inputs for kind, name, inputs in known if kind == _TEMPLATE}
    for kind, name, inputs in known:
        found = (
            _nodes(inputs, templates.get(name, {}), region)
            if kind == _NODES
            else _charges(kind, inputs, region)
        )
        for what, number, price in found:
            if price is None or number is None:
                made.unpriced.append(what)
            else:
                made.per_hour += number * price.per_hour
                made.lines.append((what, number, price))
    return made


def before_and_after(steps: Iterable[Step], region: str) -> tuple[Estimate, Estimate]:
    """Estimate a stack as it is, and as it would be."""
    known = list(steps)
    before = [(step.type, step.name, step.old) for step in known if step.kind != "create"]
    after = [(step.type, step.name, step.new or step.old) for step in known if step.kind != "delete"]
    return estimate(before, region), estimate(after, region)


def _charges(kind: str, inputs: Mapping[str, Any], region: str) -> list[_Charge]:
    if kind == "aws:eks/cluster:Cluster":
        return [("EKS cluster", 1, listed("cluster", region))]
    if kind == "aws:ec2/natGateway:NatGateway":
        return [("NAT gateway, without traffic", 1, listed("nat", region))]
    if kind == "aws:ec2/eip:Eip":
        return [("public address", 1, listed("address", region))]
    if kind == "aws:ec2/vpcEndpoint:VpcEndpoint" and inputs.get("vpcEndpointType") == "Interface":
        return [("interface endpoint", _length(inputs.get("subnetIds")), listed("endpoint", region))]
    if kind == "aws:kms/key:Key":
        return [("key, without requests and older versions", 1, listed("key", region))]
    return [(kind, None, None)] if kind.startswith(_BY_USE) else []


def _nodes(inputs: Mapping[str, Any], template: Mapping[str, Any], region: str) -> list[_Charge]:
    types = inputs.get("instanceTypes") or [template.get("instanceType")]
    sizes = inputs.get("scalingConfig")
    names = [each for each in types if isinstance(each, str)] if isinstance(types, list) else []
    most = sizes.get("maxSize") if isinstance(sizes, Mapping) else None
    number = _number(most)
    on_demand = inputs.get("capacityType", "ON_DEMAND") == "ON_DEMAND"
    what = f"node {' or '.join(names) or 'of an unknown type'}, all {most or '?'} of them"
    prices = [instance(each, region) for each in names]
    known = [each for each in prices if each]
    dearest = max(known, key=lambda each: each.per_hour) if known and len(known) == len(prices) else None
    return [
        (what, number, dearest if on_demand else None),
        *_disks(number, template.get("blockDeviceMappings"), region),
    ]


def _disks(nodes: float | None, mappings: object, region: str) -> list[_Charge]:
    """The disks of nodes. More throughput than every gp3 volume has costs more: https://aws.amazon.com/ebs/pricing/."""
    made: list[_Charge] = []
    for mapping in mappings if isinstance(mappings, list) and mappings else [None]:
        disk = mapping.get("ebs") if isinstance(mapping, Mapping) else None
        if not isinstance(disk, Mapping) or disk.get("volumeType") != "gp3":
            made.append((_DISKS, None, None))
            continue
        size = _number(disk.get("volumeSize"))
        gib = None if nodes is None or size is None else nodes * size
        made.append((_DISKS, gib, listed("disk", region)))
        if (_number(disk.get("throughput")) or 0) > 125 or (_number(disk.get("iops")) or 0) > 3000:
            made.append(("throughput of disks", None, None))
    return made


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _length(value: object) -> float | None:
    return float(len(value)) if isinstance(value, list) else None
