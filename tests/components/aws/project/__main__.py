"""The AWS side of a training and of a serving cloud, shaped by the JSON in SHAPE; errors as a stack shows them."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pulumi

from components.aws.budget import Budget, BudgetArgs
from components.aws.capacity import capacity
from components.aws.cluster import Cluster, ClusterArgs
from components.aws.gpu_nodes import GpuNodes, GpuNodesArgs
from components.aws.image_registry import ImageRegistry, ImageRegistryArgs
from components.aws.instance_types import fit, instance_type
from components.aws.instances import Demand
from components.aws.load_balancer import Entrance, LoadBalancer, LoadBalancerArgs
from components.aws.location import Location
from components.aws.network import Network, NetworkArgs
from components.aws.release_bucket import ReleaseBucket, ReleaseBucketArgs
from components.aws.serving_nodes import ServingNodes, ServingNodesArgs
from components.aws.system_nodes import SystemNodes, SystemNodesArgs
from components.aws.workload_identity import (
    WorkloadIdentity,
    WorkloadIdentityArgs,
    bucket_access,
    node_scaling,
)
from components.errors import CloudError

TAG = ("scenario:stack", "cloud-under-test")
shape = json.loads(os.environ.get("SHAPE", "{}"))


def serve(network: Network, cluster: Cluster, system: SystemNodes) -> None:
    instance = instance_type("m7i.2xlarge")
    nodes = ServingNodes(
        "serving",
        ServingNodesArgs(
            cluster=cluster, subnet_ids=network.subnet_ids, instance=instance, number=2, tags=dict([TAG])
        ),
    )
    LoadBalancer(
        "serving",
        LoadBalancerArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.subnet_ids,
            nodes_security_group_id=cluster.security_group_id,
            scaling_groups={"system": system.scaling_group, "serving": nodes.scaling_group},
            entrances={
                "catalogue": Entrance(port=30944),
                "endpoint": Entrance(port=30943, drain_seconds=120),
            },
            principals=["arn:aws:iam::210987654321:root"],
        ),
    )


def declare() -> dict[str, Any]:
    region = shape.get("region", "eu-central-1")
    account = "123456789012"
    here = Location(account=account, region=region, zones=(f"{region}a", f"{region}b"))
    nodes = instance_type(shape.get("instance_type", "p5.48xlarge"))
    fit(nodes, Demand(**shape.get("demand", {"gpus": nodes.gpus})))
    how = capacity(**shape.get("capacity", {"kind": "on-demand"}))
    network = Network("training", NetworkArgs(location=here, nat=shape.get("nat", False)))
    cluster = Cluster(
        "training",
        ClusterArgs(
            location=here,
            cluster_name="training",
            subnet_ids=network.subnet_ids,
            version="1.34",
            admins=[f"arn:aws:sts::{account}:user/moto"],
        ),
    )
    system = SystemNodes(
        "system",
        SystemNodesArgs(
            cluster=cluster,
            subnet_ids=network.subnet_ids,
            instance_type="m7i.large",
            nodes=2,
            tags=dict([TAG]),
        ),
    )
    serve(network, cluster, system)
    gpus = GpuNodes(
        "gpus",
        GpuNodesArgs(
            cluster=cluster,
            vpc_id=network.vpc_id,
            subnet_ids=network.subnet_ids[: shape.get("zones_of_nodes", 1)],
            instances=[nodes, *map(instance_type, shape.get("other_types", []))],
            maximum=4,
            capacity=how,
            tags=dict([TAG]),
        ),
    )
    bucket = ReleaseBucket(
        "releases",
        ReleaseBucketArgs(
            location=here,
            s3_endpoint_id=network.s3_endpoint_id,
            outside=[f"arn:aws:iam::{account}:role/deployer"],
            protect=shape.get("protect", False),
        ),
    )
    images = ImageRegistry("images", ImageRegistryArgs(location=here, repositories=["s2/scenario-model"]))
    access = bucket_access(
        bucket_arn=bucket.arn,
        key_arn=bucket.key_arn,
        region=region,
        read=["data/"],
        write=["releases/", "runs/"],
        delete=["runs/"],
    )
    WorkloadIdentity(
        "trainer",
        WorkloadIdentityArgs(
            cluster=cluster, namespace="training", service_account="trainer", statements=access
        ),
    )
    WorkloadIdentity(
        "autoscaler",
        WorkloadIdentityArgs(
            cluster=cluster,
            namespace="kube-system",
            service_account="cluster-autoscaler",
            statements=node_scaling(here, "training"),
        ),
    )
    Budget("training", BudgetArgs(monthly_usd=500, emails=["team@example.com"], tag=TAG))
    return {
        "vpc": network.vpc_id,
        "cluster": cluster.name,
        "kubeconfig": cluster.kubeconfig,
        "key": cluster.key_arn,
        "nodes": gpus.node_group_name,
        "bucket": bucket.name,
        "bucket_key": bucket.key_arn,
        "s3_endpoint": network.s3_endpoint_id,
        "images": images.urls,
    }


try:
    outputs = declare()
except CloudError as error:
    pulumi.log.error(str(error))
    sys.exit(32)
for name, value in outputs.items():
    pulumi.export(name, value)
