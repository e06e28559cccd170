"""Agents on every GPU node: NVIDIA's device plugin and telemetry, and AWS's plugin for EFA.

They need files of the node and, for EFA, its network, so they have their own namespace next to the jobs'
restricted one. None of them has an API server token, and none runs privileged. Sources:
<https://github.com/NVIDIA/k8s-device-plugin>, <https://github.com/NVIDIA/dcgm-exporter>,
<https://github.com/aws/eks-charts/tree/master/stable/aws-efa-k8s-device-plugin>, November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.charts import mirrored
from components.kubernetes.isolation import METRICS_PORT, telemetry_only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PLUGINS = "/var/lib/kubelet/device-plugins"
_NO_MORE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True, kw_only=True)
class NodeAgents:
    """The agents' images; an empty one is left out.

    Attributes:
        node_labels: where they run.
        taints: `{key, value, effect}` of those nodes.
        device_plugin: NVIDIA's, which advertises GPUs as `nvidia.com/gpu`.
        telemetry: NVIDIA's exporter for Prometheus, on port 9400 of each node's pod.
        efa_plugin: AWS's, which advertises interfaces as `vpc.amazonaws.com/efa`; each region has its own
            registry for it.

    """

    node_labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]] = field(default_factory=tuple)
    device_plugin: str = "nvcr.io/nvidia/k8s-device-plugin:v0.19.3"
    telemetry: str = "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless"
    efa_plugin: str = ""

    @property
    def images(self) -> list[str]:
        """NVIDIA's images; AWS's comes from its own registry."""
        return [each for each in (self.device_plugin, self.telemetry) if each]

    def mirrored(self, registry: str) -> NodeAgents:
        """Return the same agents with NVIDIA's images in another registry, at the same path."""
        return replace(
            self,
            device_plugin=mirrored(self.device_plugin, registry),
            telemetry=mirrored(self.telemetry, registry),
        )


def install(namespace: str, agents: NodeAgents, opts: pulumi.ResourceOptions) -> None:
    """Declare them in `<namespace>-nodes`, a namespace next to the one whose pods use the nodes."""
    name = f"{namespace}-nodes"
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}  # folders of the node
    beside = k8s.core.v1.Namespace(name, metadata={"name": name, "labels": labels}, opts=opts)
    inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[beside]))
    for each, spec in telemetry_only().items():
        k8s.networking.v1.NetworkPolicy(
            f"{name}-{each}", metadata={"name": each, "namespace": name}, spec=spec, opts=inside
        )
    run(name, agents, inside)


def run(
    namespace: pulumi.Input[str], agents: NodeAgents, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Declare one DaemonSet for each of them."""
    return [
        k8s.apps.v1.DaemonSet(
            name,
            metadata={"name": name, "namespace": namespace, "labels": _labels(name)},
            spec={
                "selector": {"matchLabels": _labels(name)},
                "template": {"metadata": {"labels": _labels(name)}, "spec": _pod(agents, name, *parts)},
            },
            # Nodes come later, or not at all while the group is scaled to zero.
            opts=opts,
        )
        for name, parts in _containers(agents).items()
    ]


def _containers(agents: NodeAgents) -> dict[str, tuple[dict[str, Any], dict[str, str], bool]]:
    """Return by name the container, its host folders, and whether it uses the host's network."""
    plugins = {"plugins": _PLUGINS}
    found: dict[str, tuple[dict[str, Any], dict[str, str], bool]] = {}
    if agents.device_plugin:
        # On a node with a broken driver it fails visibly, instead of advertising no GPU.
        told = {"env": [{"name": "FAIL_ON_INIT_ERROR", "value": "true"}], "securityContext": _NO_MORE}
        found["nvidia-device-plugin"] = ({"image": agents.device_plugin, **told}, plugins, False)
    if agents.telemetry:
        told = {
            "env": [{"name": "DCGM_EXPORTER_KUBERNETES", "value": "true"}],
            "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
            "securityContext": _NO_MORE,
        }
        folders = {"pod-resources": "/var/lib/kubelet/pod-resources"}
        found["dcgm-exporter"] = ({"image": agents.telemetry, **told}, folders, False)
    if agents.efa_plugin:
        container = {"image": agents.efa_plugin, "securityContext": _NO_MORE}
        found["efa-device-plugin"] = (container, {**plugins, "infiniband": "/dev/infiniband"}, True)
    return found


def _pod(
    agents: NodeAgents, name: str, container: dict[str, Any], folders: dict[str, str], host_network: bool
) -> dict[str, Any]:
    mounts = [
        {"name": each, "mountPath": path, "readOnly": path != _PLUGINS} for each, path in folders.items()
    ]
    resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    tolerations = [
        {"key": each["key"], "operator": "Exists", "effect": each["effect"]} for each in agents.taints
    ]
    return {
        "automountServiceAccountToken": False,
        "hostNetwork": host_network,
        "priorityClassName": "system-node-critical",
        "nodeSelector": dict(agents.node_labels),
        "tolerations": tolerations,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": name, **container, "resources": resources, "volumeMounts": mounts}],
        "volumes": [{"name": each, "hostPath": {"path": path}} for each, path in folders.items()],
    }


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "scenario-platform"}
