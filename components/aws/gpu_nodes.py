"""Training nodes: scaled up from zero when there is work, placed close together, with EFA."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2, eks, vpc

from components.aws.capacity import CapacityBlock, OnDemand, Reservation, Spot, check_capacity
from components.aws.node_disks import allocatable_gib
from components.aws.nodes import TemplateArgs, Upkeep, group_arguments, launch_template, node_role
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.capacity import Capacity
    from components.aws.cluster import Cluster
    from components.aws.instances import InstanceType

TRAINING_LABEL = {"scenario/nodes": "training"}
"""The label by which Kubernetes and Kueue's flavors select these nodes."""


@dataclass(frozen=True, kw_only=True)
class GpuNodesArgs:
    """Inputs of training nodes.

    Attributes:
        cluster: the cluster that they join.
        vpc_id: its network.
        subnet_ids: their subnets, and so zones: EFA does not cross zones, and a reservation is for one zone.
        instances: their types, which have as many GPUs as each other; those without are for cheap trials. On demand
            EC2 starts the first that it has: EKS user guide, Managed node groups, read 2026-11.
        maximum: maximum number of nodes.
        minimum: minimum number; 0 removes them all when there is no work. Those of a Capacity Block are there until
            EKS takes them away.
        nodes: initial number; default: `minimum`.
        capacity: how they are purchased.
        tags: the stack's tags, for instances, disks and interfaces.
        disk_gib: the first disk, for the system and, if there are no local disks, images and pods' scratch, in GiB.
        upkeep: how they are kept.

    """

    cluster: Cluster
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    instances: Sequence[InstanceType]
    maximum: int
    minimum: int = 0
    nodes: int | None = None
    capacity: Capacity = field(default_factory=OnDemand)
    tags: Mapping[str, str] = field(default_factory=dict)
    disk_gib: int = 200
    upkeep: Upkeep = field(default_factory=Upkeep)


# What an autoscaler must know about nodes while there are none; it finds labels and taints itself, and GPUs by EC2's
# count, which is 0 for a part of one. Source: cluster-autoscaler/cloudprovider/aws/aws_manager.go, which reads a
# managed node group's tags.
_ACCELERATOR = "k8s.amazonaws.com/accelerator"
_OF_A_NODE = "k8s.io/cluster-autoscaler/node-template/resources/"


class GpuNodes(pulumi.ComponentResource):
    """A node group for training only: its taint keeps other pods off.

    If `minimum` and `maximum` differ, an autoscaler (or `aws eks update-nodegroup-config`) sets the size,
    which is not drift. If they are equal, a change of the number changes the group.

    Raises:
        CloudError: a capacity that is not sold for the type, or inconsistent numbers.

    """

    node_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: GpuNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the nodes under `name`."""
        instance, *others = args.instances
        check_capacity(instance, args.capacity)
        first = _check_numbers(args)
        super().__init__("scenario:aws:GpuNodes", name, None, opts)
        self.instance = instance
        self._own = pulumi.ResourceOptions(parent=self)
        role, rights = node_role(name, args.cluster.location, args.upkeep, self)
        template = launch_template(
            name,
            TemplateArgs(
                instance=instance,
                several_types=bool(others),
                security_group_ids=[args.cluster.security_group_id, self._fabric(name, args.vpc_id)],
                tags=args.tags,
                disk_gib=args.disk_gib,
                fast_disk=not instance.nvme_disks,
                placement_group=self._placement_group(name, args.capacity),
                capacity=args.capacity,
            ),
            self,
        )
        group = eks.NodeGroup(
            name,
            cluster_name=args.cluster.name,
            node_role_arn=role.arn,
            subnet_ids=args.subnet_ids,
            instance_types=[each.name for each in args.instances] if others else None,
            capacity_type=_capacity_type(args.capacity),
            **group_arguments(args.cluster, instance, args.upkeep, template),
            scaling_config={"desired_size": first, "min_size": _least(args), "max_size": args.maximum},
            labels={**TRAINING_LABEL, **_accelerator(args.instances)},
            taints=[{"key": instance.taint, "value": "true", "effect": "NO_SCHEDULE"}],
            tags=_resources(args.instances, args.disk_gib),
            # A node to be replaced may hold part of a running job, so one at a time; and it goes before another comes:
            # what is reserved, or scarce, is not there twice.
            update_config={"max_unavailable": 1, "update_strategy": "MINIMAL"},
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[args.cluster, *rights],
                delete_before_replace=True,
                ignore_changes=["scalingConfig.desiredSize"] if args.minimum < args.maximum else None,
            ),
        )
        self.node_group_name = group.node_group_name
        self.register_outputs({"node_group_name": self.node_group_name})

    def _fabric(self, name: str, vpc_id: pulumi.Input[str]) -> pulumi.Output[str]:
        """Declare the security group that EFA needs: all traffic among its members, in both directions."""
        group = ec2.SecurityGroup(
            f"{name}-fabric",
            vpc_id=vpc_id,
            description="Training nodes among themselves",
            tags={"Name": f"{name}-fabric"},
            opts=self._own,
        )
        for way, direction in (("in", vpc.SecurityGroupIngressRule), ("out", vpc.SecurityGroupEgressRule)):
            direction(
                f"{name}-fabric",
                security_group_id=group.id,
                referenced_security_group_id=group.id,
                description="Everything among training nodes",
                ip_protocol="-1",
                tags={"Name": f"{name}-fabric-{way}"},
                opts=self._own,
            )
        return group.id

    def _placement_group(self, name: str, wanted: Capacity) -> pulumi.Input[str] | None:
        """Return the placement group that keeps nodes close together.

        AWS places a block's instances itself, and a reservation's in the reservation's group.
        """
        if isinstance(wanted, CapacityBlock) or not self.instance.efa_interfaces:
            return None
        if isinstance(wanted, Reservation):
            return wanted.placement_group
        return ec2.PlacementGroup(name, strategy="cluster", opts=self._own).name


def _accelerator(instances: Sequence[InstanceType]) -> dict[str, str]:
    """The label by which the autoscaler knows that a node's GPUs are still coming up, instead of adding more nodes."""
    models = {each.gpu_model.lower().replace(" ", "-") for each in instances if each.gpus}
    one_of_several = "gpu" if models else ""
    value = models.pop() if len(models) == 1 else one_of_several
    return {_ACCELERATOR: f"nvidia-{value}"} if value else {}


def _resources(instances: Sequence[InstanceType], disk_gib: int) -> dict[str, str]:
    """The tags by which the autoscaler knows what a node will have that EC2 does not tell it.

    Of several types it looks up the first: cluster-autoscaler/cloudprovider/aws/aws_wrapper.go.
    """
    instance, least_gib = instances[0], min(allocatable_gib(each, disk_gib) for each in instances)
    counted = {"nvidia.com/gpu": instance.gpus, "vpc.amazonaws.com/efa": instance.efa_interfaces}
    told = {name: str(number) for name, number in counted.items() if number}
    told["ephemeral-storage"] = f"{int(least_gib)}Gi"
    return {f"{_OF_A_NODE}{name}": amount for name, amount in told.items()}


def _capacity_type(wanted: Capacity) -> str:
    if isinstance(wanted, CapacityBlock):
        return "CAPACITY_BLOCK"
    return "SPOT" if isinstance(wanted, Spot) else "ON_DEMAND"


def _least(args: GpuNodesArgs) -> int:
    """Return the group's own minimum.

    That of a Capacity Block is 0, else EKS could not scale the group down 40 minutes before the block ends, nor could
    a user before an upgrade, and it would go on starting instances that are not sold any more.
    Source: EKS user guide, Capacity Blocks for ML, read 2026-11.
    """
    return 0 if isinstance(args.capacity, CapacityBlock) else args.minimum


def _check_numbers(args: GpuNodesArgs) -> int:
    """Return the initial number of nodes. Raises CloudError."""
    first = args.minimum if args.nodes is None else args.nodes
    if args.maximum < 1 or not 0 <= args.minimum <= first <= args.maximum:
        raise CloudError(
            f"invalid numbers of {args.instances[0].name} nodes: minimum {args.minimum}, initial {first}, maximum "
            f"{args.maximum}; they must ascend, from 0 or more, to a maximum of 1 or more"
        )
    return first
