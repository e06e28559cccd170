"""The training cloud on AWS: network, cluster, nodes, bucket and permissions, as the settings define."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.account_check import Need
from components.aws.capacity import CapacityBlock, OnDemand, Reservation, capacity
from components.aws.gpu_nodes import GpuNodes, GpuNodesArgs
from components.aws.image_registry import ImageRegistry, ImageRegistryArgs
from components.aws.instance_types import fit, instance_type
from components.aws.instances import Demand
from components.aws.network import Network
from components.aws.node_disks import scratch_gib
from components.aws.pushed_image import PushedImage, is_in
from components.aws.signing_key import KmsSigningKey
from components.aws.workload_identity import (
    WorkloadIdentity,
    WorkloadIdentityArgs,
    bucket_access,
    bucket_reading,
    decrypting,
    signing,
)
from components.errors import CloudError
from components.kubernetes.job_args import PodSize
from components.kubernetes.quantities import amount
from stacks.builders.cluster import NAMESPACE, TrainingCloud, pod_size
from stacks.builders.eks import private_cluster, release_bucket
from stacks.builders.eks_platform import (
    existing_queueing,
    is_scaled,
    layers,
    repositories,
    scaling,
    training_platform,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.capacity import Capacity
    from components.aws.cluster import Cluster
    from components.aws.instances import InstanceType
    from components.aws.policies import Statement
    from components.aws.release_bucket import ReleaseBucket
    from stacks.builders.eks import PrivateCluster
    from stacks.settings.aws import AwsCloud, AwsProvider
    from stacks.settings.cloud import Training

_NAME = "training"
_CHECKPOINTS = "checkpoints/"
_WRITTEN = ("releases/", "channels/", "runs/", _CHECKPOINTS)


@dataclass(frozen=True, kw_only=True)
class TrainerRights:
    """What the training pods may do in addition to writing to the stack's own bucket.

    Attributes:
        read_buckets: buckets, by name, that a foundation model or data are read from.
        sign_with: ARN of the KMS key that signs releases.
        own_key: whether the stack makes that key.

    """

    read_buckets: Sequence[str] = ()
    sign_with: str | None = None
    own_key: bool = False


def aws_cloud(
    stack: str, cloud: AwsCloud, provider: AwsProvider, workers: Training, rights: TrainerRights
) -> TrainingCloud:
    """Declare everything on AWS, and the platform in the cluster.

    Raises:
        CloudError: the settings request something that does not exist, does not fit, or is not safe.

    """
    instance = _wired(cloud, workers, instance_type(cloud.nodes.instance_type))
    size = _size(workers, instance, cloud.nodes.disk_gib)
    bought = capacity(**cloud.nodes.capacity.model_dump())
    needed = Need(
        instance_type=instance.name,
        vcpus=instance.vcpus,
        number=max(cloud.nodes.minimum, min(workers.pods, cloud.nodes.maximum)),
        zones=[_zone(cloud, bought)],
        on_demand=isinstance(bought, OnDemand | Reservation),
        reservation=bought.id if isinstance(bought, Reservation | CapacityBlock) else "",
    )
    made = private_cluster(stack, _NAME, cloud, provider, [needed])
    here, cluster = made.here, made.cluster
    registry = ImageRegistry(
        "images", ImageRegistryArgs(location=here, repositories=repositories(stack, cloud, here, instance))
    )
    # Nodes that only wait for their image cost as much as those that train.
    pushed = (
        [PushedImage("training", workers.image, here.caller, pulumi.ResourceOptions(depends_on=[registry]))]
        if is_in(here, workers.image)
        else []
    )
    kubernetes = made.provider()
    queueing = existing_queueing(cloud, cluster, kubernetes)
    nodes = _nodes(cloud, workers, made, instance, bought, [*pushed, *queueing])
    readable = [here.bucket(name) for name in rights.read_buckets]
    bucket = release_bucket(made, cloud, readable=readable)
    key = KmsSigningKey("signing", here, protect=cloud.protect) if rights.own_key else None
    signs = key.arn if key else rights.sign_with
    endpoint = made.network.endpoint_ids["kms"] if isinstance(made.network, Network) else None
    statements = [
        *(statement for other in readable for statement in bucket_reading(other)),
        *decrypting(cloud.input_keys),
        *(signing(signs, endpoint) if signs else []),
    ]
    identity = _trainer(statements, cluster, bucket)
    if is_scaled(cloud):
        scaling(stack, cloud, here, cluster, kubernetes)
    return TrainingCloud(
        cluster=cluster.name,
        kubeconfig=cluster.kubeconfig,
        provider=kubernetes,
        platform=training_platform(cloud, made.network, instance, size, kubernetes, queueing),
        store=bucket.uri,
        size=PodSize(**size),
        ready=[nodes, identity, *pushed],
        environment={"AWS_REGION": here.region},
        caller=here.caller,
        signing_key=key,
        nearby=layers(instance)[-1] if cloud.nodes.topology else None,
        save_before=bought.save_before.isoformat() if isinstance(bought, CapacityBlock) else None,
    )


def _nodes(
    cloud: AwsCloud,
    workers: Training,
    made: PrivateCluster,
    instance: InstanceType,
    bought: Capacity,
    before: list[pulumi.Resource],
) -> GpuNodes:
    args = GpuNodesArgs(
        cluster=made.cluster,
        vpc_id=made.network.vpc_id,
        subnet_id=made.network.subnet_ids[list(cloud.zones).index(_zone(cloud, bought))],
        instance=instance,
        maximum=cloud.nodes.maximum,
        minimum=cloud.nodes.minimum,
        nodes=_first_nodes(cloud, workers),
        capacity=bought,
        tags=made.tags,
        disk_gib=cloud.nodes.disk_gib,
        upkeep=made.upkeep,
    )
    return GpuNodes(_NAME, args, pulumi.ResourceOptions(depends_on=before))


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
    return (
        cloud.nodes.minimum
        if is_scaled(cloud)
        else max(cloud.nodes.minimum, min(workers.pods, cloud.nodes.maximum))
    )


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


def _size(workers: Training, instance: InstanceType, disk_gib: int) -> dict[str, Any]:
    """Return a pod's requests: the whole node, or the settings' values if they fit. Raises CloudError."""
    most_gib = scratch_gib(instance, disk_gib)
    usual = {
        "cpu": str(instance.pod_vcpus),
        "memory": f"{instance.pod_memory_gib}Gi",
        "gpus": instance.gpus,
        "efa": instance.efa_interfaces,
        "scratch": f"{most_gib}Gi",
        "scratch_reserved": True,
    }
    size = pod_size(workers, usual)
    demand = Demand(
        gpus=size["gpus"],
        efa_interfaces=size["efa"],
        vcpus=float(amount(size["cpu"], "training.cpu")),
        memory_gib=float(amount(size["memory"], "training.memory")) / 2**30,
    )
    fit(instance, demand)
    asked_gib = float(amount(size["scratch"], "training.scratch")) / 2**30
    if asked_gib > most_gib:
        remedy = "use a larger type" if instance.nvme_disks else "raise cloud:nodes.disk_gib"
        message = (
            f"training.scratch is {size['scratch']}, but a {instance.name} node has {most_gib} GiB of disk for pods, "
            f"beside its images; request less, or {remedy}"
        )
        raise CloudError(message)
    return size


def _trainer(statements: Sequence[Statement], cluster: Cluster, bucket: ReleaseBucket) -> WorkloadIdentity:
    """Declare what the training pods may do: these, and write to the stack's own bucket."""
    own = bucket_access(
        bucket_arn=bucket.arn,
        key_arn=bucket.key_arn,
        region=cluster.location.region,
        write=_WRITTEN,
        delete=[_CHECKPOINTS],
    )
    args = WorkloadIdentityArgs(
        cluster=cluster, namespace=NAMESPACE, service_account="trainer", statements=[*own, *statements]
    )
    return WorkloadIdentity("trainer", args)
