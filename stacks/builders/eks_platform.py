"""What a training cluster on EKS runs besides training: queues, agents of nodes, an autoscaler; and their images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.gpu_nodes import TRAINING_LABEL
from components.aws.instance_types import instance_type
from components.aws.workload_identity import WorkloadIdentity, WorkloadIdentityArgs, node_scaling
from components.errors import CloudError
from components.kubernetes import charts
from components.kubernetes.installed_queueing import InstalledQueueing
from components.kubernetes.isolation import POD_IDENTITY, Destination
from components.kubernetes.node_agents import NodeAgents
from components.kubernetes.platform import Platform, PlatformArgs
from components.kubernetes.queues import Flavor
from stacks.builders.cluster import NAMESPACE, charts_folder, queueing_charts, quota

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as k8s

    from components.aws.cluster import Cluster
    from components.aws.instances import InstanceType
    from components.aws.location import Location
    from components.aws.network import ExistingNetwork, Network
    from stacks.settings.aws import AwsCloud

# Types whose place in the network EC2 tells, by their first letters, and its layers, with which EKS labels nodes:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-topology-prerequisites.html, read 2026-11.
_LAYERS = {
    "g6e.": 3,
    "g7e.": 3,
    "p4d.": 3,
    "p4de.": 3,
    "p5.48xlarge": 3,
    "p5e.": 3,
    "p5en.": 3,
    "p6-b200.": 4,
    "p6-b300.": 4,
}

_PROCESSORS = {"x86_64": "amd64", "arm64": "arm64"}


def existing_queueing(cloud: AwsCloud, cluster: Cluster, provider: k8s.Provider) -> list[pulumi.Resource]:
    """Return the question for Kueue and JobSet, unless the stack installs them: nodes come after them."""
    if cloud.queueing == "install":
        return []
    opts = pulumi.ResourceOptions(depends_on=[provider])
    return [InstalledQueueing("queueing", cluster.kubeconfig, opts)]


def training_platform(
    cloud: AwsCloud,
    network: Network | ExistingNetwork,
    instance: InstanceType,
    size: dict[str, Any],
    cluster: Cluster,
    provider: k8s.Provider,
    queueing: Sequence[pulumi.Resource],
) -> Platform:
    """Declare the namespace, the queue and the nodes' agents, once `queueing` is there.

    Raises:
        CloudError: nodes could not pull an image, or lack a plugin.
        ClusterError: charts are not in the folder of `cloud:charts`, that of the autoscaler included.

    """
    taint = {"key": instance.taint, "value": "true", "effect": "NoSchedule"}
    flavor = Flavor(
        # Not by instance type: a job that fits on several types may run on any of them.
        name="nodes",
        quota=quota(size, cloud.nodes.maximum),
        node_labels=TRAINING_LABEL,
        taints=[taint],
        topology=[*layers(instance), "kubernetes.io/hostname"] if cloud.nodes.topology else (),
    )
    destinations = [
        POD_IDENTITY,
        Destination(name="endpoints", cidrs=cloud.addresses),
        # S3's addresses are public; the network's endpoint leads to the stack's buckets alone.
        Destination(name="s3", cidrs=network.s3_cidrs),
    ]
    agents = _agents(cloud, instance, taint)
    installed = queueing_charts(cloud, [charts.autoscaler(cloud.version)] if is_scaled(cloud) else [])
    if not cloud.nat and not cloud.registry and (agents or installed):
        message = (
            "nodes without internet access cannot pull the images of Kueue, JobSet or NVIDIA; set "
            "cloud:registry to a mirror of them, or cloud:nat to true"
        )
        raise CloudError(message)
    args = PlatformArgs(
        namespace=NAMESPACE,
        flavors=[flavor],
        charts=installed.mirrored(cloud.registry) if installed and cloud.registry else installed,
        kubeconfig=cluster.kubeconfig,
        destinations=destinations,
        agents=agents,
    )
    return Platform("platform", args, pulumi.ResourceOptions(provider=provider, depends_on=queueing))


def _agents(cloud: AwsCloud, instance: InstanceType, taint: dict[str, str]) -> NodeAgents | None:
    """Return the device plugins for a node's GPUs and EFA interfaces; None if it has neither."""
    if not instance.gpus and not instance.efa_interfaces:
        return None
    if instance.efa_interfaces and not cloud.efa_plugin:
        message = (
            f"nodes of type {instance.name} have EFA, which needs AWS's device plugin: set cloud:efa_plugin "
            "to its image, aws-efa-k8s-device-plugin, in your region's EKS registry or in your own; or set "
            "cloud:nodes.efa to false, for a slower network"
        )
        raise CloudError(message)
    efa_plugin = (cloud.efa_plugin or "") if instance.efa_interfaces else ""
    agents = NodeAgents(node_labels=TRAINING_LABEL, taints=[taint], efa_plugin=efa_plugin)
    if not instance.gpus:
        return replace(agents, device_plugin="", telemetry="")
    return agents.mirrored(cloud.registry) if cloud.registry else agents


def scaling(
    stack: str,
    cloud: AwsCloud,
    here: Location,
    cluster: Cluster,
    provider: k8s.Provider,
    pushed: Sequence[pulumi.Resource],
) -> None:
    """Declare the autoscaler and its permissions, once its image was `pushed`: idle training nodes are removed."""
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
    if folder := charts_folder(cloud):
        chart = chart.pulled(folder)
    if cloud.registry:
        chart = replace(chart, image=charts.mirrored(chart.image, cloud.registry))
    opts = pulumi.ResourceOptions(provider=provider, depends_on=[identity, *pushed])
    charts.scale_nodes(chart, stack, here.region, opts)


def layers(instance: InstanceType) -> list[str]:
    """Return the labels of a node's place in the network, from far to near. Raises CloudError if it has none."""
    number = next((each for start, each in _LAYERS.items() if instance.name.startswith(start)), 0)
    if not number:
        message = (
            f"cloud:nodes.topology: EC2 does not tell where in the network a {instance.name} is; leave it out, or "
            f"choose a type of {', '.join(each.rstrip('.') for each in _LAYERS)}"
        )
        raise CloudError(message)
    return [f"topology.k8s.aws/network-node-layer-{each}" for each in range(1, number + 1)]


def is_scaled(cloud: AwsCloud) -> bool:
    """Whether the stack installs an autoscaler."""
    return cloud.queueing == "install" and cloud.nodes.minimum < cloud.nodes.maximum


def images_of_others(cloud: AwsCloud, instance: InstanceType) -> dict[str, str]:
    """Return the images that nodes pull from registries of others, if there is no mirror, by their nodes' processors.

    These are in the words of image registries, amd64 or arm64.
    """
    system = _PROCESSORS[instance_type(cloud.system_nodes.instance_type).architecture]
    installed = charts.Charts().images if cloud.queueing == "install" else []
    installed += [charts.autoscaler(cloud.version).image] if is_scaled(cloud) else []
    agents = NodeAgents(node_labels={}).images if instance.gpus else []
    return dict.fromkeys(installed, system) | dict.fromkeys(agents, _PROCESSORS[instance.architecture])


def repositories(stack: str, cloud: AwsCloud, here: Location, instance: InstanceType) -> list[str]:
    """Return the repositories of the account's registry that a stack needs: those of a mirror in it too."""
    host, _, path = (cloud.registry or "").partition("/")
    if host != here.registry:
        return [f"{stack}/scenario-model"]
    paths = [each.partition("/")[2].rpartition(":")[0] for each in images_of_others(cloud, instance)]
    return [f"{stack}/scenario-model", *(f"{path}/{each}".removeprefix("/") for each in paths)]
