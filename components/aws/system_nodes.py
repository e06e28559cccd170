"""A few small nodes for the cluster's own services: CoreDNS, Kueue, JobSet, an autoscaler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import eks

from components.aws.instance_types import instance_type
from components.aws.nodes import FixedGroupArgs, Upkeep, fixed_group, scaling_group
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.cluster import Cluster

SYSTEM_LABEL = {"scenario/nodes": "system"}
"""The label by which Kubernetes selects these nodes."""


@dataclass(frozen=True, kw_only=True)
class SystemNodesArgs:
    """Inputs of system nodes.

    Attributes:
        cluster: the cluster that they join.
        subnet_ids: private subnets, over which they are spread.
        instance_type: a name from the table, without GPU.
        nodes: their number; two survive the loss of a zone.
        tags: the stack's tags, for instances, disks and interfaces.
        upkeep: how they are kept.

    """

    cluster: Cluster
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    instance_type: str
    nodes: int
    tags: Mapping[str, str] = field(default_factory=dict)
    upkeep: Upkeep = field(default_factory=Upkeep)


class SystemNodes(pulumi.ComponentResource):
    """A node group of fixed size, and CoreDNS, which needs nodes to become ready.

    Raises:
        CloudError: the instance type is unknown or has GPUs; fewer than one node.

    """

    node_group_name: pulumi.Output[str]
    scaling_group: pulumi.Output[str]

    def __init__(self, name: str, args: SystemNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the nodes under `name`."""
        instance = instance_type(args.instance_type)
        if instance.gpus or args.nodes < 1:
            raise CloudError(
                f"invalid system nodes: {args.nodes} of {instance.name}; use one or more of a type "
                "without GPU, as in 'm7i.large'"
            )
        super().__init__("scenario:aws:SystemNodes", name, None, opts)
        wanted = FixedGroupArgs(
            cluster=args.cluster,
            subnet_ids=args.subnet_ids,
            instance=instance,
            number=args.nodes,
            labels=SYSTEM_LABEL,
            tags=args.tags,
            disk_gib=50,
            upkeep=args.upkeep,
        )
        group = fixed_group(name, wanted, self)
        eks.Addon(
            f"{name}-coredns",
            cluster_name=args.cluster.name,
            addon_name="coredns",
            addon_version=args.cluster.addons.get("coredns"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[group]),
        )
        self.node_group_name, self.scaling_group = group.node_group_name, scaling_group(group)
        self.register_outputs({"node_group_name": self.node_group_name, "scaling_group": self.scaling_group})
