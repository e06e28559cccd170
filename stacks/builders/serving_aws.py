"""The cloud side of a serving stack on AWS: a private cluster in several zones, a bucket, an internal load balancer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pulumi

from components.aws.account_check import Need
from components.aws.instance_types import fit, instance_type
from components.aws.instances import Demand
from components.aws.load_balancer import Entrance, LoadBalancer, LoadBalancerArgs
from components.aws.serving_nodes import SERVING_LABEL, ServingNodes, ServingNodesArgs
from components.aws.system_nodes import SYSTEM_LABEL
from components.aws.workload_identity import WorkloadIdentity, WorkloadIdentityArgs, bucket_access
from components.errors import CloudError
from components.kubernetes import node_agents
from components.kubernetes.exposure import Exposure
from components.kubernetes.isolation import POD_IDENTITY, Destination
from components.kubernetes.namespace import closed_namespace
from components.kubernetes.quantities import amount
from components.kubernetes.workload import Workload
from stacks.builders.eks import private_cluster, release_bucket
from stacks.builders.naming import of_setting
from stacks.builders.serving_cloud import ACCOUNT, Reached, ServingCloud, folder_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.aws.instances import InstanceType
    from components.credentials import StackId
    from stacks.builders.eks import PrivateCluster
    from stacks.settings.aws import AwsProvider
    from stacks.settings.serving_cloud import AwsServing, Endpoint, Exposed

_NAME = "serving"
_GIB = 2**30


def aws_serving(
    stack: str,
    cloud: AwsServing,
    provider: AwsProvider,
    identity: StackId,
    exposed: Mapping[str, Exposed],
    endpoint: Endpoint | None,
) -> ServingCloud:
    """Declare everything on AWS, and the namespace in the cluster.

    Args:
        stack: the stack's name.
        cloud: its settings of AWS.
        provider: Pulumi's settings of AWS.
        identity: distinguishes the stack from another of its name.
        exposed: what sites and their clients reach, by the setting's name.
        endpoint: the hosted endpoint, if there is one.

    Raises:
        CloudError: the settings request something that does not exist, does not fit, or is not safe.

    """
    _check(stack, exposed)
    instance = _instance(cloud, endpoint) if endpoint else None
    fit(instance_type(cloud.system_nodes.instance_type), Demand())  # the catalogue's pods run there
    needs = []
    if instance:
        number = cloud.nodes.number
        needs = [Need(instance_type=instance.name, vcpus=instance.vcpus, number=number, zones=cloud.zones)]
    made = private_cluster(stack, _NAME, cloud, provider, needs)
    folder = folder_of(stack, identity)
    days = {"reports": cloud.report_days, "tallies": cloud.report_days, "audit": cloud.audit_days}
    bucket = release_bucket(
        made,
        cloud,
        short_lived={name: (pulumi.Output.concat(folder, f"/{name}/"), each) for name, each in days.items()},
    )
    statements = bucket_access(
        bucket_arn=bucket.arn, key_arn=bucket.key_arn, region=made.here.region, write=[""]
    )
    rights = WorkloadIdentity(
        "server",
        WorkloadIdentityArgs(
            cluster=made.cluster, namespace=cloud.namespace, service_account=ACCOUNT, statements=statements
        ),
    )
    groups = {"system": made.system.scaling_group}
    if instance:
        groups["serving"] = _nodes(cloud, made, instance).scaling_group
    drain_seconds = int(endpoint.serving.drain_seconds) if endpoint else 0
    balancer = _balancer(cloud, made, exposed, groups, drain_seconds)
    kubernetes = pulumi.ResourceOptions(provider=made.provider())
    destinations = [
        POD_IDENTITY,
        Destination(name="endpoints", cidrs=cloud.addresses),
        # S3's addresses are public; the network's endpoint leads to the stack's bucket alone.
        Destination(name="s3", cidrs=made.network.s3_cidrs),
    ]
    namespace = closed_namespace(cloud.namespace, destinations, ACCOUNT, kubernetes)
    if instance and instance.gpus:
        agents = node_agents.NodeAgents(node_labels=SERVING_LABEL)
        node_agents.install(
            cloud.namespace, agents.mirrored(cloud.registry) if cloud.registry else agents, kubernetes
        )
    workload = Workload(
        namespace=cloud.namespace,
        image=cloud.image,
        service_account=ACCOUNT,
        environment={"AWS_REGION": made.here.region},
        node_labels=SYSTEM_LABEL,
    )
    return ServingCloud(
        stack=stack,
        workload=workload,
        endpoint_workload=replace(workload, node_labels=SERVING_LABEL),
        store=pulumi.Output.concat(bucket.uri, "/", folder),
        store_ready=[bucket],
        reached={
            name: Reached(
                host=each.host or balancer.host,
                port=each.port,
                # The load balancer's security group knows the clients; pods see the nodes' addresses.
                exposure=Exposure(service="NodePort", port=each.port, clients=cloud.addresses),
            )
            for name, each in exposed.items()
        },
        outputs={"load_balancer": balancer.host}
        | ({"private_link": balancer.private_link} if cloud.principals else {}),
        opts=pulumi.ResourceOptions.merge(kubernetes, pulumi.ResourceOptions(depends_on=[namespace, rights])),
    )


def _check(stack: str, exposed: Mapping[str, Exposed]) -> None:
    where = f"stacks/Pulumi.{stack}.yaml"
    for name, each in exposed.items():
        if each.service != "NodePort" or each.annotations:
            message = (
                f"{where}: {name}.service and {name}.annotations are for clusters of your own; on AWS the stack makes "
                "the load balancer itself: remove them"
            )
            raise CloudError(message)
        if any(":" in block for block in each.clients):
            message = f"{where}: {name}.clients has an IPv6 network; the network on AWS has IPv4 only"
            raise CloudError(message)


def _instance(cloud: AwsServing, endpoint: Endpoint) -> InstanceType:
    """Return the endpoint's instance type.

    Raises CloudError if a pod does not fit on it, its agents could not be pulled, or there are to be more of them.
    """
    if endpoint.scaling:
        message = (
            "endpoint.scaling needs KEDA in the cluster, which the stack does not install, and more nodes, while those "
            "on AWS are of a fixed number; remove it, or use a cluster of your own that scales its nodes"
        )
        raise CloudError(message)
    with of_setting("cloud:nodes.instance_type"):
        instance = instance_type(cloud.nodes.instance_type)
    demand = Demand(
        gpus=endpoint.gpus,
        vcpus=float(amount(endpoint.cpu, "endpoint.cpu")),
        memory_gib=float(amount(endpoint.memory, "endpoint.memory")) / _GIB,
    )
    fit(instance, demand)
    if instance.gpus and not (cloud.nat or cloud.registry):
        message = (
            "nodes without internet access cannot pull NVIDIA's images; set cloud:registry to a mirror of them, or "
            "cloud:nat to true"
        )
        raise CloudError(message)
    return instance


def _nodes(cloud: AwsServing, made: PrivateCluster, instance: InstanceType) -> ServingNodes:
    return ServingNodes(
        _NAME,
        ServingNodesArgs(
            cluster=made.cluster,
            subnet_ids=made.network.subnet_ids,
            instance=instance,
            number=cloud.nodes.number,
            tags=made.tags,
            upkeep=made.upkeep,
        ),
    )


def _balancer(
    cloud: AwsServing,
    made: PrivateCluster,
    exposed: Mapping[str, Exposed],
    groups: Mapping[str, pulumi.Output[str]],
    drain_seconds: int,
) -> LoadBalancer:
    entrances = {
        name: Entrance(port=each.port, clients=each.clients, drain_seconds=drain_seconds)
        for name, each in exposed.items()
    }
    return LoadBalancer(
        _NAME,
        LoadBalancerArgs(
            vpc_id=made.network.vpc_id,
            subnet_ids=made.network.subnet_ids,
            nodes_security_group_id=made.cluster.security_group_id,
            scaling_groups=groups,
            entrances=entrances,
            principals=cloud.principals,
        ),
    )
