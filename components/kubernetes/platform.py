"""The platform for training in a cluster: an isolated namespace, a queue with quotas, agents on GPU nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes import charts, node_agents, queues
from components.kubernetes.installed_queueing import InstalledQueueing
from components.kubernetes.isolation import CLUSTER_DNS
from components.kubernetes.namespace import closed_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.kubernetes.isolation import Destination, Resolver


@dataclass(frozen=True, kw_only=True)
class PlatformArgs:
    """Inputs of a platform.

    Attributes:
        namespace: created for the jobs; the agents are in `<namespace>-nodes`.
        flavors: kinds of nodes with their quotas.
        queue: the name of the jobs' queue.
        charts: JobSet and Kueue to install; None if the cluster has both.
        kubeconfig: the cluster's, to wait until what was installed answers; None: it is not waited for.
        destinations: what pods may call: the bucket, the registry, the source of credentials.
        resolvers: who answers pods' questions for names.
        agents: for GPU nodes; None without GPU nodes, or if they are installed otherwise.
        service_account: created for the jobs, for a cloud identity; it has no permissions in the cluster.

    """

    namespace: str
    flavors: Sequence[queues.Flavor]
    queue: str = "training"
    charts: charts.Charts | None = None
    kubeconfig: pulumi.Input[str] | None = None
    destinations: Sequence[Destination] = ()
    resolvers: Sequence[Resolver] = (CLUSTER_DNS,)
    agents: node_agents.NodeAgents | None = None
    service_account: str = "trainer"


class Platform(pulumi.ComponentResource):
    """A namespace with its queue, ready for training jobs.

    Jobs must depend on it: its objects are deleted last.

    Attributes:
        namespace: the jobs' namespace.
        queue: the name of its queue.
        service_account: the jobs' service account.
        flavors: the queue's flavors.

    """

    namespace: pulumi.Output[str]
    queue: pulumi.Output[str]
    service_account: pulumi.Output[str]
    flavors: Sequence[queues.Flavor]

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the platform.

        Raises:
            ClusterError: Kueue would refuse its flavors.

        """
        queues.require_possible(name, args.flavors)
        super().__init__("scenario:kubernetes:Platform", name, {}, opts)
        own = pulumi.ResourceOptions(parent=self)
        installed = charts.install(args.charts, own) if args.charts else []
        if installed and args.kubeconfig is not None:
            after = pulumi.ResourceOptions(parent=self, depends_on=[*installed])
            installed.append(InstalledQueueing("installed", args.kubeconfig, after))
        namespace = closed_namespace(
            args.namespace, args.destinations, args.service_account, own, args.resolvers
        )
        self._queue(args, [*installed, namespace])
        if args.agents:
            node_agents.install(args.namespace, args.agents, own)
        self.namespace = pulumi.Output.from_input(args.namespace)
        self.queue = pulumi.Output.from_input(args.queue)
        self.service_account = pulumi.Output.from_input(args.service_account)
        self.flavors = args.flavors
        self.register_outputs({"namespace": args.namespace, "queue": args.queue})

    def _queue(self, args: PlatformArgs, before: list[pulumi.Resource]) -> None:
        for kind, each, spec in queues.objects(args.namespace, args.queue, args.flavors):
            before = [*before, self._kueue(kind, {"name": each}, spec, before)]
        cluster_queue = {"clusterQueue": f"{args.namespace}-{args.queue}"}
        self._kueue("LocalQueue", {"name": args.queue, "namespace": args.namespace}, cluster_queue, before)

    def _kueue(
        self, kind: str, metadata: dict[str, str], spec: dict[str, Any], before: list[pulumi.Resource]
    ) -> pulumi.Resource:
        return k8s.apiextensions.CustomResource(
            metadata["name"],
            api_version=queues.API,
            kind=kind,
            metadata=metadata,
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
