"""The training cloud, as the training job sees it; and the builder for an existing cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi.runtime.rpc import UNKNOWN

from components.aws.caller import Caller
from components.errors import ClusterError
from components.kubernetes.charts import Charts, check_pulled
from components.kubernetes.installed_queueing import InstalledQueueing
from components.kubernetes.isolation import CLUSTER_DNS, Destination, Resolver
from components.kubernetes.job_args import DISK, PodSize, SecretKey
from components.kubernetes.placing import Placing
from components.kubernetes.platform import Platform, PlatformArgs
from components.kubernetes.quantities import canonical
from components.kubernetes.queues import Flavor
from stacks.builders.local_files import are_elsewhere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.signing_key import KmsSigningKey
    from components.kubernetes.charts import Chart
    from stacks.settings.cloud import Training
    from stacks.settings.cluster import ExistingCluster, KubernetesCloud
    from stacks.settings.queueing import Queueing

NAMESPACE = "training"
_STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# The bucket's alone: KMS, say, is where it is.
_REGION, _ENDPOINT = "AWS_REGION", "AWS_ENDPOINT_URL_S3"


@dataclass(frozen=True, kw_only=True)
class TrainingCloud:
    """Where the workers train.

    Attributes:
        cluster: its name in the stack's outputs.
        kubeconfig: access to it.
        provider: Pulumi's, for its resources.
        platform: its namespace and queue.
        store: the bucket for releases, `s3://…`.
        size: what a pod requests of its node.
        ready: resources that must exist before a pod can work.
        environment: environment variables of the pods.
        secret_environment: environment variables from Secrets.
        save_before: when the nodes are taken away, ISO 8601.
        placing: what pods need to start on the nodes.
        caller: who reads its store from this machine.
        signing_key: the stack's own key in KMS, where there is one to sign releases.
        nearby: a node label of which pods prefer to share the value.

    """

    cluster: pulumi.Input[str]
    kubeconfig: pulumi.Input[str]
    provider: k8s.Provider
    platform: Platform
    store: pulumi.Input[str]
    size: PodSize
    ready: Sequence[pulumi.Resource] = ()
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secret_environment: Mapping[str, SecretKey] = field(default_factory=dict)
    save_before: str | None = None
    placing: Placing = field(default_factory=Placing)
    caller: Caller = field(default_factory=Caller)
    signing_key: KmsSigningKey | None = None
    nearby: str | None = None


def existing_cluster(cloud: KubernetesCloud, workers: Training) -> TrainingCloud:
    """Declare the platform in the user's cluster.

    Raises:
        ClusterError: the kubeconfig cannot be read, or the workers' size is not given.

    """
    kubeconfig = read_kubeconfig(cloud.kubeconfig)
    if not cloud.region and _REGION not in workers.environment:
        message = (
            "cloud:region is not set: the region of the bucket in cloud:store, as in eu-central-1; a store that is not "
            "AWS's takes any, such as us-east-1, and needs cloud:endpoint"
        )
        raise ClusterError(message)
    if workers.cpu is None or workers.memory is None:
        message = "set training.cpu and training.memory, the pod's requests; an existing cluster's nodes are not known"
        raise ClusterError(message)
    secret = pulumi.Output.secret(kubeconfig)
    provider = k8s.Provider("cluster", kubeconfig=secret)
    flavor = Flavor(
        name="nodes",
        quota=cloud.quota,
        node_labels=cloud.node_labels,
        taints=[taint.model_dump(exclude_none=True) for taint in cloud.taints],
    )
    destinations = [
        Destination(name=each.name, cidrs=each.cidrs, ports=each.ports) for each in cloud.destinations
    ]
    args = PlatformArgs(
        namespace=cloud.namespace,
        flavors=[flavor],
        charts=queueing_charts(cloud),
        kubeconfig=secret,
        destinations=destinations,
        resolvers=resolvers(cloud),
    )
    before = [InstalledQueueing("queueing", secret)] if cloud.queueing == "existing" else []
    return TrainingCloud(
        cluster=Path(cloud.kubeconfig).name,
        kubeconfig=secret,
        provider=provider,
        platform=Platform("platform", args, pulumi.ResourceOptions(provider=provider, depends_on=before)),
        store=cloud.store,
        size=PodSize(
            **pod_size(workers, {"cpu": workers.cpu, "memory": workers.memory, "gpus": workers.gpus or 0}),
            # Kueue admits no pod that asks for what its quota does not name.
            scratch_reserved=DISK in cloud.quota,
        ),
        environment=store_environment(cloud),
        placing=placing(cloud, taints=False),  # Kueue adds what tolerates them to the pods that it admits
        secret_environment=store_keys(cloud.credentials),
    )


def queueing_charts(cloud: Queueing, others: Sequence[Chart] = ()) -> Charts | None:
    """Return the charts of JobSet and Kueue; None if the cluster has both. `others`: what is installed besides.

    Raises:
        ClusterError: some of all these are not in the folder of `cloud:charts`.

    """
    if cloud.queueing == "existing":
        return None
    wanted, folder = Charts(), charts_folder(cloud)
    if not folder:
        return wanted
    check_pulled([wanted.jobset, wanted.kueue, *others], folder)
    return wanted.pulled(folder)


def charts_folder(cloud: Queueing) -> str | None:
    """Return the folder with the charts to install; None: they come from the internet, or the folder is elsewhere."""
    folder = str(Path(cloud.charts).expanduser()) if cloud.charts else ""
    there = folder and (Path(folder).is_dir() or not are_elsewhere())
    return folder if there else None


def read_kubeconfig(path: str) -> str:
    """Return the text of the kubeconfig in `cloud:kubeconfig`; unknown if such files are elsewhere.

    Raises:
        ClusterError: it cannot be read.

    """
    if are_elsewhere():
        return UNKNOWN
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(f"cloud:kubeconfig: {path}: {reason}") from None


def placing(cloud: ExistingCluster, *, taints: bool) -> Placing:
    """Return what pods need to start on the cluster's nodes. `taints`: those of the nodes included."""
    return Placing(
        taints=[each.model_dump(exclude_none=True) for each in cloud.taints] if taints else (),
        pull_secrets=cloud.pull_secrets,
        runtime_class=cloud.runtime_class or "",
        own_user=cloud.own_user,
    )


def resolvers(cloud: ExistingCluster) -> list[Resolver]:
    """Return who answers pods' questions for names."""
    if not cloud.resolvers:
        return [CLUSTER_DNS]
    return [
        Resolver(namespace=each.namespace or "", labels=each.labels, cidrs=each.cidrs, port=each.port)
        for each in cloud.resolvers
    ]


def store_environment(cloud: ExistingCluster) -> dict[str, str]:
    """Return the environment variables that say where a bucket is."""
    told = {_REGION: cloud.region, _ENDPOINT: cloud.endpoint}
    return {name: value for name, value in told.items() if value}


def store_keys(secret: str | None) -> dict[str, SecretKey]:
    """Return the environment variables that a Secret with a bucket's credentials gives to pods."""
    return {name: SecretKey(secret=secret, key=name) for name in _STORE_KEYS} if secret else {}


def pod_size(workers: Training, usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod's requests, by `PodSize`'s names: from the settings, else the defaults."""
    asked = {"cpu": workers.cpu, "memory": workers.memory, "gpus": workers.gpus, "scratch": workers.scratch}
    told = {name: value for name, value in asked.items() if value is not None}
    return {**usual, **told, "shared_memory": workers.shared_memory}


def quota(size: Mapping[str, Any], nodes: int) -> dict[str, str]:
    """Return the capacity of `nodes` nodes, one pod per node."""
    asked = PodSize(**size).requests()
    return {name: canonical(each, "training", times=nodes) for name, each in asked.items()}
