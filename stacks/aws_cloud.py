"""The training cloud on AWS: network, cluster, nodes, bucket and who may do what, as the settings say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.aws.budget import Budget, BudgetArgs
from components.aws.capacity import CapacityBlock, capacity
from components.aws.cluster import Cluster, ClusterArgs
from components.aws.errors import CloudError
from components.aws.gpu_nodes import TRAINING_LABEL, GpuNodes, GpuNodesArgs
from components.aws.image_registry import ImageRegistry, ImageRegistryArgs
from components.aws.instance_types import fit, instance_type
from components.aws.instances import Demand
from components.aws.location import Location
from components.aws.network import Network, NetworkArgs
from components.aws.release_bucket import ReleaseBucket, ReleaseBucketArgs
from components.aws.system_nodes import SystemNodes, SystemNodesArgs
from components.aws.workload_identity import (
    WorkloadIdentity,
    WorkloadIdentityArgs,
    bucket_access,
    bucket_reading,
    node_scaling,
    signing,
)
from components.kubernetes import charts
from components.kubernetes.isolation import POD_IDENTITY, Destination
from components.kubernetes.job_args import PodSize
from components.kubernetes.node_agents import NodeAgents
from components.kubernetes.platform import Platform, PlatformArgs
from components.kubernetes.queues import Flavor
from stacks.cloud import BucketData, BucketFoundation, KmsKey
from stacks.training_cloud import NAMESPACE, TrainingCloud, pod_size, quota

if TYPE_CHECKING:
    from components.aws.instances import InstanceType
    from stacks.cloud import AwsCloud
    from stacks.settings import CloudTrainingSettings

TAG = "scenario:stack"
_NAME = "training"
_CHECKPOINTS = "checkpoints/"
_WRITTEN = ("releases/", "channels/", "runs/", _CHECKPOINTS)


def aws_cloud(stack: str, settings: CloudTrainingSettings, cloud: AwsCloud) -> TrainingCloud:
    """Declare everything on AWS, and the platform in the cluster.

    Raises:
        CloudError: what the settings ask for does not exist, does not fit, or is not safe.

    """
    tags = _tags(stack, settings)
    here = Location(account=cloud.account, region=settings.aws.region or "", zones=cloud.zones)
    instance = instance_type(cloud.nodes.instance_type)
    size = _size(settings, instance)
    bought = capacity(**cloud.nodes.capacity.model_dump())
    network = Network(_NAME, NetworkArgs(location=here, cidr=cloud.cidr, nat=cloud.nat))
    cluster = Cluster(
        _NAME,
        ClusterArgs(
            location=here,
            cluster_name=stack,
            subnet_ids=network.subnet_ids,
            version=cloud.version,
            admins=cloud.admins,
            public_from=cloud.public_from,
        ),
    )
    system = SystemNodes("system", SystemNodesArgs(cluster=cluster, subnet_ids=network.subnet_ids, tags=tags))
    nodes = GpuNodes(
        _NAME,
        GpuNodesArgs(
            cluster=cluster,
            vpc_id=network.vpc_id,
            subnet_id=network.subnet_ids[0],
            instance_type=instance.name,
            maximum=cloud.nodes.maximum,
            minimum=cloud.nodes.minimum,
            # Those that the gang needs; how many there are later is for the autoscaler, or the user, to say.
            nodes=max(cloud.nodes.minimum, min(settings.training.pods, cloud.nodes.maximum)),
            capacity=bought,
            tags=tags,
        ),
    )
    bucket = _bucket(settings, cloud, here, network)
    identity = _identity(settings, here, cluster, bucket)
    ImageRegistry("images", ImageRegistryArgs(location=here, repositories=[f"{stack}/scenario-model"]))
    if cloud.budget:
        Budget(_NAME, BudgetArgs(**cloud.budget.model_dump(), tag=(TAG, stack)))
    provider = k8s.Provider(
        "cluster", kubeconfig=cluster.kubeconfig, opts=pulumi.ResourceOptions(depends_on=[cluster, system])
    )
    if cloud.queueing == "install" and cloud.nodes.minimum < cloud.nodes.maximum:
        _scaling(stack, cloud, here, cluster, provider)
    return TrainingCloud(
        cluster=cluster.name,
        kubeconfig=cluster.kubeconfig,
        provider=provider,
        platform=_platform(cloud, instance, size, provider),
        store=bucket.uri,
        size=PodSize(**size),
        ready=[nodes, identity],
        environment={"AWS_REGION": here.region},
        save_before=bought.save_before.isoformat() if isinstance(bought, CapacityBlock) else None,
    )


def _tags(stack: str, settings: CloudTrainingSettings) -> dict[str, str]:
    tags = settings.aws.default_tags.get("tags", {})
    if tags.get(TAG) != stack:
        message = (
            f"stacks/Pulumi.{stack}.yaml: aws:defaultTags has no tag {TAG}: {stack}, by which what the stack "
            f'made is found again; write aws:defaultTags: {{tags: {{"{TAG}": {stack}}}}}'
        )
        raise CloudError(message)
    return tags


def _size(settings: CloudTrainingSettings, instance: InstanceType) -> dict[str, Any]:
    """Return what a pod asks for: the whole node, or what the settings say, if that fits."""
    usual = {
        "cpu": str(instance.pod_vcpus),
        "memory": f"{instance.pod_memory_gib}Gi",
        "gpus": instance.gpus,
        "efa": instance.efa_interfaces,
    }
    size = pod_size(settings.training, usual)
    fit(instance, Demand(gpus=size["gpus"], efa_interfaces=size["efa"]))
    return size


def _bucket(
    settings: CloudTrainingSettings, cloud: AwsCloud, here: Location, network: Network
) -> ReleaseBucket:
    return ReleaseBucket(
        "releases",
        ReleaseBucketArgs(
            location=here,
            s3_endpoint_id=network.s3_endpoint_id,
            outside=cloud.readers or cloud.admins,
            readable=_others(settings),
            protect=cloud.protect,
        ),
    )


def _others(settings: CloudTrainingSettings) -> list[str]:
    """Return the buckets, by ARN, that a foundation model or data are read from."""
    inputs = [settings.foundation, settings.data]
    uris = [each.uri for each in inputs if isinstance(each, BucketFoundation | BucketData)]
    return sorted({f"arn:aws:s3:::{uri.removeprefix('s3://').partition('/')[0]}" for uri in uris})


def _identity(
    settings: CloudTrainingSettings, here: Location, cluster: Cluster, bucket: ReleaseBucket
) -> WorkloadIdentity:
    statements = bucket_access(
        bucket_arn=bucket.arn,
        key_arn=bucket.key_arn,
        region=here.region,
        write=_WRITTEN,
        delete=[_CHECKPOINTS],
    )
    for other in _others(settings):
        statements += bucket_reading(other)
    if isinstance(settings.signing, KmsKey):
        statements += signing(settings.signing.arn)
    return WorkloadIdentity(
        "trainer",
        WorkloadIdentityArgs(
            cluster=cluster, namespace=NAMESPACE, service_account="trainer", statements=statements
        ),
    )


def _scaling(stack: str, cloud: AwsCloud, here: Location, cluster: Cluster, provider: k8s.Provider) -> None:
    """Declare the autoscaler, with its rights: nodes that train go when they are idle."""
    namespace, account = charts.AUTOSCALER
    identity = WorkloadIdentity(
        "autoscaler",
        WorkloadIdentityArgs(
            cluster=cluster,
            namespace=namespace,
            service_account=account,
            statements=node_scaling(here, stack),
        ),
    )
    chart = charts.autoscaler(cloud.version)
    if cloud.registry:
        chart = replace(chart, image=charts.mirrored(chart.image, cloud.registry))
    opts = pulumi.ResourceOptions(provider=provider, depends_on=[identity])
    charts.scale_nodes(chart, stack, here.region, opts)


def _platform(
    cloud: AwsCloud, instance: InstanceType, size: dict[str, Any], provider: k8s.Provider
) -> Platform:
    taint = {"key": instance.taint, "value": "true", "effect": "NoSchedule"}
    flavor = Flavor(
        # Not by the instance type: nodes of another one are the same to a job that fits on both.
        name="nodes",
        quota=quota(size, cloud.nodes.maximum),
        node_labels=TRAINING_LABEL,
        taints=[taint],
    )
    destinations = [
        POD_IDENTITY,
        Destination(name="endpoints", cidrs=[cloud.cidr]),
        # S3's addresses are public; the network leads there alone, and its endpoint to the stack's buckets.
        Destination(name="s3", cidrs=["0.0.0.0/0"]),
    ]
    agents = _agents(cloud, instance, taint)
    installed = charts.Charts() if cloud.queueing == "install" else None
    if not cloud.nat and not cloud.registry and (agents or installed):
        message = (
            "without a way out nodes pull no image of Kueue, JobSet or NVIDIA's; set cloud:registry to where "
            "they are mirrored, or cloud:nat to true"
        )
        raise CloudError(message)
    args = PlatformArgs(
        namespace=NAMESPACE,
        flavors=[flavor],
        charts=installed.mirrored(cloud.registry) if installed and cloud.registry else installed,
        destinations=destinations,
        agents=agents,
    )
    return Platform("platform", args, pulumi.ResourceOptions(provider=provider))


def _agents(cloud: AwsCloud, instance: InstanceType, taint: dict[str, str]) -> NodeAgents | None:
    """Return what makes a node's GPUs and EFA interfaces known; None where it has neither."""
    if not instance.gpus and not instance.efa_interfaces:
        return None
    if instance.efa_interfaces and not cloud.efa_plugin:
        message = (
            f"nodes of {instance.name} have EFA, which pods get by a plugin of AWS's: set cloud:efa_plugin "
            "to its image, aws-efa-k8s-device-plugin, in your region's registry of EKS or in yours"
        )
        raise CloudError(message)
    efa_plugin = (cloud.efa_plugin or "") if instance.efa_interfaces else ""
    agents = NodeAgents(node_labels=TRAINING_LABEL, taints=[taint], efa_plugin=efa_plugin)
    if not instance.gpus:
        return replace(agents, device_plugin="", telemetry="")
    return agents.mirrored(cloud.registry) if cloud.registry else agents
