"""Nodes that serve: a fixed number of them, spread over the zones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi

from components.aws.nodes import FixedGroupArgs, Upkeep, fixed_group, scaling_group
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.cluster import Cluster
    from components.aws.instances import InstanceType

SERVING_LABEL = {"scenario/nodes": "serving"}
"""The label by which Kubernetes selects these nodes."""


@dataclass(frozen=True, kw_only=True)
class ServingNodesArgs:
    """Inputs of serving nodes.

    Attributes:
        cluster: the cluster that they join.
        subnet_ids: private subnets, one per zone, over which they are spread.
        instance: their type, with or without GPUs.
        number: how many; two survive the loss of a zone.
        tags: the stack's tags, for instances, disks and interfaces.
        disk_gib: the first disk, for the system, images and the pods' scratch, in GiB.
        upkeep: how they are kept.

    """

    cluster: Cluster
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    instance: InstanceType
    number: int
    tags: Mapping[str, str] = field(default_factory=dict)
    disk_gib: int = 200
    upkeep: Upkeep = field(default_factory=Upkeep)


class ServingNodes(pulumi.ComponentResource):
    """A node group without a taint: other pods may use what the endpoint leaves.

    Raises:
        CloudError: fewer than one node.

    """

    scaling_group: pulumi.Output[str]

    def __init__(self, name: str, args: ServingNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the nodes under `name`."""
        if args.number < 1:
            raise CloudError(f"invalid number of {args.instance.name} nodes: {args.number}; use one or more")
        super().__init__("scenario:aws:ServingNodes", name, None, opts)
        wanted = FixedGroupArgs(
            cluster=args.cluster,
            subnet_ids=args.subnet_ids,
            instance=args.instance,
            number=args.number,
            labels=SERVING_LABEL,
            tags=args.tags,
            disk_gib=args.disk_gib,
            upkeep=args.upkeep,
        )
        group = fixed_group(name, wanted, self)
        self.scaling_group = scaling_group(group)
        self.register_outputs({"scaling_group": self.scaling_group})
