"""Kueue's objects: node flavors with their quota, and the queue that admits jobs to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.errors import ClusterError
from components.kubernetes.placing import toleration
from components.kubernetes.quantities import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

API = "kueue.x-k8s.io/v1beta2"
_MOST_LABELS = 8


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """A kind of node and its quota.

    Attributes:
        name: its name, such as `p5-48xlarge`.
        quota: limit of all jobs together by resource, `{"cpu": "384", "nvidia.com/gpu": "16"}`;
            other resources are refused.
        node_labels: labels that select its nodes; empty selects any node.
        taints: `{key, value, effect}` of its nodes, which admitted pods tolerate.
        topology: node labels from coarse to fine, by which a job's pods may be placed together.

    """

    name: str
    quota: Mapping[str, str]
    node_labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    topology: Sequence[str] = ()


def require_possible(platform: str, flavors: Sequence[Flavor]) -> None:
    """Refuse flavors that Kueue would refuse.

    Raises:
        ClusterError: there is none, their resources differ, or one has too many labels.

    """
    if not flavors:
        raise ClusterError(f"platform {platform} has no flavor, so nothing can be admitted; add one")
    resources = list(flavors[0].quota)
    for each in flavors:
        if list(each.quota) != resources:
            message = (
                f"platform {platform}: flavor {each.name} has a quota for {', '.join(each.quota)}, "
                f"{flavors[0].name} for {', '.join(resources)}; list the same resources in the same order"
            )
            raise ClusterError(message)
        if len(each.node_labels) > _MOST_LABELS:
            message = f"platform {platform}: flavor {each.name} has more than {_MOST_LABELS} node labels"
            raise ClusterError(message)


def objects(
    namespace: str, queue: str, flavors: Sequence[Flavor]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, name and specification of cluster-scoped objects, in dependency order.

    Names begin with the namespace's: others in the cluster may have flavors too.
    """
    for each in flavors:
        spec: dict[str, Any] = {"nodeLabels": dict(each.node_labels)}
        spec["tolerations"] = [toleration(taint) for taint in each.taints]
        if each.topology:
            levels = [{"nodeLabel": label} for label in each.topology]
            yield "Topology", f"{namespace}-{each.name}", {"levels": levels}
            spec["topologyName"] = f"{namespace}-{each.name}"
        yield "ResourceFlavor", f"{namespace}-{each.name}", {key: it for key, it in spec.items() if it}
    yield "ClusterQueue", f"{namespace}-{queue}", _cluster_queue(namespace, flavors)


def _cluster_queue(namespace: str, flavors: Sequence[Flavor]) -> dict[str, Any]:
    quotas = [
        {
            "name": f"{namespace}-{each.name}",
            "resources": [
                {"name": name, "nominalQuota": canonical(quota, f"flavor {each.name}: {name}")}
                for name, quota in each.quota.items()
            ],
        }
        for each in flavors
    ]
    own = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {
        "namespaceSelector": own,
        "resourceGroups": [{"coveredResources": list(flavors[0].quota), "flavors": quotas}],
    }
