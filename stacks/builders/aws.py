"""The training cloud on AWS: network, cluster, nodes, bucket and permissions, as the settings define."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.aws.capacity import CapacityBlock
from components.aws.gpu_nodes import GpuNodes
from components.aws.image_registry import ImageRegistry, ImageRegistryArgs
from components.aws.network import Network
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
from components.kubernetes.charts import mirrored
from components.kubernetes.job_args import PodSize
from stacks.builders import training_nodes
from stacks.builders.cluster import NAMESPACE, TrainingCloud
from stacks.builders.eks import private_cluster, release_bucket
from stacks.builders.eks_platform import (
    existing_queueing,
    images_of_others,
    is_scaled,
    layers,
    repositories,
    scaling,
    training_platform,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.cluster import Cluster
    from components.aws.instances import InstanceType
    from components.aws.location import Location
    from components.aws.policies import Statement
    from components.aws.release_bucket import ReleaseBucket
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
    choice = training_nodes.choose(cloud, workers)
    instance, bought = choice.instance, choice.bought
    size = training_nodes.pod_size_on(choice, workers, cloud.nodes.disk_gib)
    made = private_cluster(stack, _NAME, cloud, provider, [training_nodes.need(choice, cloud, workers)])
    here, cluster = made.here, made.cluster
    registry = ImageRegistry(
        "images", ImageRegistryArgs(location=here, repositories=repositories(stack, cloud, here, instance))
    )
    pushed = _pushed(stack, cloud, here, workers.image, instance, registry)
    kubernetes = made.provider()
    queueing = [*pushed, *existing_queueing(cloud, cluster, kubernetes)]
    nodes = GpuNodes(
        _NAME,
        training_nodes.arguments(choice, cloud, workers, made),
        pulumi.ResourceOptions(depends_on=queueing),
    )
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
    platform = training_platform(cloud, made.network, instance, size, cluster, kubernetes, queueing)
    if is_scaled(cloud):
        scaling(stack, cloud, here, cluster, kubernetes, pushed)
    return TrainingCloud(
        cluster=cluster.name,
        kubeconfig=cluster.kubeconfig,
        provider=kubernetes,
        platform=platform,
        store=bucket.uri,
        size=PodSize(**size),
        ready=[nodes, identity],
        environment={"AWS_REGION": here.region},
        caller=here.caller,
        signing_key=key,
        nearby=layers(instance)[-1] if cloud.nodes.topology else None,
        save_before=bought.save_before.isoformat() if isinstance(bought, CapacityBlock) else None,
    )


def _pushed(
    stack: str, cloud: AwsCloud, here: Location, image: str, instance: InstanceType, registry: ImageRegistry
) -> list[pulumi.Resource]:
    """Declare the questions for images that have to be in the account's own registry before anything needs them.

    Nodes that only wait for an image cost as much as those that train; a chart waits, and does not say for what.
    """
    built = "build and push it: make image, or by hand as model/Containerfile says"
    wanted = {"training": (image, built)}
    for other in images_of_others(cloud, instance) if cloud.registry else ():
        copied = mirrored(other, str(cloud.registry))
        wanted[other.partition("/")[2].rpartition(":")[0]] = (copied, f"copy it: make mirror STACK={stack}")
    after = pulumi.ResourceOptions(depends_on=[registry])
    return [
        PushedImage(name, wants, remedy, here.caller, after)
        for name, (wants, remedy) in wanted.items()
        if is_in(here, wants)
    ]


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
