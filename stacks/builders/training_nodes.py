"""The training nodes on AWS: which types, in which zones, how many, and what a pod may ask of any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.aws.account_check import Need
from components.aws.capacity import CapacityBlock, OnDemand, Reservation, capacity, check_capacity
from components.aws.gpu_nodes import GpuNodesArgs
from components.aws.instance_types import fit, instance_type
from components.aws.instances import Demand
from components.aws.node_disks import scratch_gib
from components.errors import CloudError
from components.kubernetes.quantities import amount
from stacks.builders.cluster import pod_size
from stacks.builders.eks_platform import is_scaled
from stacks.builders.naming import of_setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.capacity import Capacity
    from components.aws.instances import InstanceType
    from stacks.builders.eks import PrivateCluster
    from stacks.settings.aws import AwsCloud
    from stacks.settings.cloud import Training


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the nodes may be.

    Attributes:
        instance: the type that is preferred.
        others: those that EC2 starts if it has none of that, in order of preference.
        zones: where; several are tried in EC2's order.
        bought: how they are purchased.

    """

    instance: InstanceType
    others: tuple[InstanceType, ...]
    zones: tuple[str, ...]
    bought: Capacity

    @property
    def instances(self) -> tuple[InstanceType, ...]:
        """All types, in order of preference."""
        return (self.instance, *self.others)


def choose(cloud: AwsCloud, workers: Training) -> Choice:
    """Return what the settings let the nodes be.

    Raises:
        CloudError: a type or zone that does not exist, or cannot stand in for the first.

    """
    with of_setting("cloud:nodes.instance_type"):
        named = instance_type(cloud.nodes.instance_type)
    with of_setting("cloud:nodes.capacity"):
        bought = capacity(**cloud.nodes.capacity.model_dump())
        check_capacity(named, bought)
    _check_block(cloud, bought)
    instance = _wired(cloud, workers, named)
    with of_setting("cloud:nodes.other_types"):
        others = tuple(instance_type(name).without_efa() for name in cloud.nodes.other_types)
    if others or cloud.nodes.other_zones:
        _check_choice(cloud, bought, instance)
    for number, other in enumerate(others):
        _check_stand_in(other, [instance, *others[:number]], workers)
    zones = (_zone(cloud, bought), *cloud.nodes.other_zones)
    _check_other_zones(cloud, zones)
    return Choice(instance=instance, others=others, zones=zones, bought=bought)


def need(choice: Choice, cloud: AwsCloud, workers: Training) -> Need:
    """Return what the account has to have for them."""
    bought = choice.bought
    return Need(
        instance_type=choice.instance.name,
        vcpus=choice.instance.vcpus,
        number=_nodes_for(cloud, workers),
        zones=choice.zones,
        others={each.name: each.vcpus for each in choice.others},
        on_demand=isinstance(bought, OnDemand | Reservation),
        reservation=bought.id if isinstance(bought, Reservation | CapacityBlock) else "",
    )


def arguments(choice: Choice, cloud: AwsCloud, workers: Training, made: PrivateCluster) -> GpuNodesArgs:
    """Return the inputs of their node group."""
    return GpuNodesArgs(
        cluster=made.cluster,
        vpc_id=made.network.vpc_id,
        subnet_ids=[made.network.subnet_ids[cloud.zones.index(each)] for each in choice.zones],
        instances=choice.instances,
        maximum=cloud.nodes.maximum,
        minimum=cloud.nodes.minimum,
        nodes=_first_nodes(cloud, workers),
        capacity=choice.bought,
        tags=made.tags,
        disk_gib=cloud.nodes.disk_gib,
        upkeep=made.upkeep,
    )


def pod_size_on(choice: Choice, workers: Training, disk_gib: int) -> dict[str, Any]:
    """Return a pod's requests: the smallest node as a whole, or the settings' values if they fit on each.

    Raises:
        CloudError: they do not.

    """
    types = choice.instances
    usual = {
        "cpu": str(min(each.pod_vcpus for each in types)),
        "memory": f"{min(each.pod_memory_gib for each in types)}Gi",
        "gpus": choice.instance.gpus,
        "efa": choice.instance.efa_interfaces,
        "scratch": f"{min(scratch_gib(each, disk_gib) for each in types)}Gi",
        "scratch_reserved": True,
    }
    size = pod_size(workers, usual)
    for each in types:
        _check_fit(size, each, disk_gib)
    return size


def _check_fit(size: dict[str, Any], instance: InstanceType, disk_gib: int) -> None:
    demand = Demand(
        gpus=size["gpus"],
        efa_interfaces=size["efa"],
        vcpus=float(amount(size["cpu"], "training.cpu")),
        memory_gib=float(amount(size["memory"], "training.memory")) / 2**30,
    )
    fit(instance, demand)
    asked_gib = float(amount(size["scratch"], "training.scratch")) / 2**30
    if asked_gib > (most_gib := scratch_gib(instance, disk_gib)):
        remedy = "use a larger type" if instance.nvme_disks else "raise cloud:nodes.disk_gib"
        message = (
            f"training.scratch is {size['scratch']}, but a {instance.name} node has {most_gib} GiB of disk for pods, "
            f"beside its images; request less, or {remedy}"
        )
        raise CloudError(message)


def _check_block(cloud: AwsCloud, bought: Capacity) -> None:
    """Refuse some nodes of a Capacity Block that are kept, and some that are not.

    Its group's own minimum is 0, so an autoscaler would not keep them. Raises CloudError.
    """
    least, most = cloud.nodes.minimum, cloud.nodes.maximum
    if isinstance(bought, CapacityBlock) and 0 < least < most:
        message = (
            f"cloud:nodes.minimum is {least} of {most} nodes in a Capacity Block, from which EKS takes all before it "
            f"ends, so none can be kept while others come and go; set it to 0, or to {most}: all, until then"
        )
        raise CloudError(message)


def _check_choice(cloud: AwsCloud, bought: Capacity, instance: InstanceType) -> None:
    """Refuse other types and zones where there is nothing to choose. Raises CloudError."""
    given = [name for name in ("other_types", "other_zones") if getattr(cloud.nodes, name)]
    out = f"leave {' and '.join(f'cloud:nodes.{name}' for name in given)} out"
    if isinstance(bought, Reservation | CapacityBlock):
        message = f"{bought.id} is of one type in one zone; {out}"
        raise CloudError(message)
    if instance.efa_interfaces:
        message = f"nodes with EFA are of one type in one zone; {out}, or set cloud:nodes.efa to false, which is slower"
        raise CloudError(message)
    if cloud.nodes.topology:
        message = f"cloud:nodes.topology is for nodes of one type in one zone; leave it out, or {out}"
        raise CloudError(message)


def _check_stand_in(other: InstanceType, before: Sequence[InstanceType], workers: Training) -> None:
    """Refuse a type on which the pods of the first do not run, or would run a job at two paces. Raises CloudError."""
    reason, first = "", before[0]
    own, its = (other.gpu_model, other.gpu_memory_gib), (first.gpu_model, first.gpu_memory_gib)
    if other.name in {each.name for each in before}:
        reason = "is named twice"
    elif other.gpus != first.gpus:
        reason = f"has {other.gpus} GPUs, and {first.name} {first.gpus}"
    elif own[1] < its[1]:
        reason = f"has {own[1]} GiB on a GPU, and {first.name} {its[1]}: what fits there may not fit here"
    elif bool(other.nvme_disks) != bool(first.nvme_disks):
        reason = f"and {first.name} differ in whether they have local disks"
    elif workers.pods > 1 and own != its:
        reason = (
            f"has GPUs of the kind {own[0]} ({own[1]} GiB), and {first.name} {its[0]} ({its[1]} GiB): all of the "
            f"{workers.pods} pods would go at the pace of the slower"
        )
    if reason:
        message = f"cloud:nodes.other_types: {other.name} {reason}; choose another type, or leave it out"
        raise CloudError(message)


def _check_other_zones(cloud: AwsCloud, zones: Sequence[str]) -> None:
    """Refuse zones that are not there or said twice, and several for more than one node. Raises CloudError.

    An autoscaling group spreads its nodes over the zones, and ends some that run to do so; EKS has no setting against
    that: https://github.com/aws/containers-roadmap/issues/1453.
    """
    for zone in cloud.nodes.other_zones:
        if zone not in cloud.zones:
            message = f"cloud:nodes.other_zones: {zone} is none of cloud:zones, {', '.join(cloud.zones)}; add it there"
            raise CloudError(message)
        if zones.count(zone) > 1:
            message = (
                f"cloud:nodes.other_zones: {zone} is named twice, or is where nodes are anyway; leave it out"
            )
            raise CloudError(message)
    if len(zones) > 1 and cloud.nodes.maximum > 1:
        message = (
            f"cloud:nodes.other_zones is for one node, and cloud:nodes.maximum is {cloud.nodes.maximum}: AWS moves "
            "nodes from zone to zone while they train, so that each has as many; set maximum to 1, or leave it out"
        )
        raise CloudError(message)


def _wired(cloud: AwsCloud, workers: Training, instance: InstanceType) -> InstanceType:
    """Return the instance type as it is used: with EFA, if pods have others to talk to.

    Raises CloudError for EFA that the type lacks, and for a topology of nodes that are not there yet.
    """
    wanted = cloud.nodes.efa
    if wanted and not instance.efa_interfaces:
        message = (
            f"cloud:nodes.efa is true, but {instance.name} has no EFA; leave it out, or choose another type"
        )
        raise CloudError(message)
    if cloud.nodes.topology and cloud.nodes.minimum < workers.pods:
        message = (
            f"cloud:nodes.topology places {workers.pods} pods on nodes that are there, and cloud:nodes.minimum is "
            f"{cloud.nodes.minimum}; set it to {workers.pods}, or leave topology out"
        )
        raise CloudError(message)
    used = workers.pods > 1 if wanted is None else wanted
    return instance if used else instance.without_efa()


def _first_nodes(cloud: AwsCloud, workers: Training) -> int:
    """Return how many nodes there are at first: the autoscaler starts others when the job waits for them.

    Without one, those that the workers need; afterwards the user decides.
    """
    return cloud.nodes.minimum if is_scaled(cloud) else _nodes_for(cloud, workers)


def _nodes_for(cloud: AwsCloud, workers: Training) -> int:
    """Return how many nodes there are while the job runs."""
    return max(cloud.nodes.minimum, min(workers.pods, cloud.nodes.maximum))


def _zone(cloud: AwsCloud, bought: Capacity) -> str:
    """Return the nodes' zone. Raises CloudError."""
    zone, zones = cloud.nodes.zone, ", ".join(cloud.zones)
    if zone is None and isinstance(bought, Reservation | CapacityBlock):
        message = f"a reservation is in one zone: set cloud:nodes.zone to it, one of {zones}"
        raise CloudError(message)
    if zone is not None and zone not in cloud.zones:
        message = f"cloud:nodes.zone is {zone}, but the network is in {zones}; add it to cloud:zones, or choose another"
        raise CloudError(message)
    return zone or cloud.zones[0]
