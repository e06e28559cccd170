"""Nodes that exist in the API only, with eight GPUs and EFA each, in any number: for scheduling at scale.

KWOK simulates their kubelets: they are ready, and pods bound to them run until deleted. A taint keeps real
pods away.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lab import LabError
from lab.kubernetes.kubectl import as_list
from lab.kubernetes.layout import Layout, Program

if TYPE_CHECKING:
    from lab.kubernetes.cluster import Cluster
    from lab.kubernetes.kubectl import Kubectl

LABEL = "scenario-lab/fake"
TAINT = {"key": LABEL, "value": "true", "effect": "NoSchedule"}
TOLERATION = {"key": LABEL, "operator": "Exists", "effect": "NoSchedule"}
GPUS = 8
EFA_INTERFACES = 32
"""As on AWS's p5.48xlarge."""
MAX_NODES = 5000
"""Kubernetes' own scalability limit."""

_CAPACITY = {
    "cpu": "192",
    "memory": "2Ti",
    "pods": "110",
    "nvidia.com/gpu": str(GPUS),
    "ephemeral-storage": "27Ti",
}
_CAPACITY |= {"vpc.amazonaws.com/efa": str(EFA_INTERFACES)}
_CHUNK = 200
_READY_S = 300.0
# EKS's labels of network proximity, from far to near.
_LAYERS = {"topology.k8s.aws/network-node-layer-1": 256, "topology.k8s.aws/network-node-layer-2": 64}
_LAYERS |= {"topology.k8s.aws/network-node-layer-3": 16}


def set_number(cluster: Cluster, number: int) -> None:
    """Add or remove fake nodes until there are this many, and wait until all are ready.

    Raises LabError if the cluster is not the lab's own, or the number is out of range.
    """
    if cluster.own is None:
        raise LabError("this cluster was given to the lab, which adds no nodes to it")
    if not 0 <= number <= MAX_NODES:
        raise LabError(f"invalid number of nodes {number}: use 0 to {MAX_NODES}")
    kubectl, own = cluster.kubectl, cluster.own
    wanted = {_name(each) for each in range(1, number + 1)}
    there = {each["metadata"]["name"] for each in kubectl.get("nodes", "-l", LABEL)["items"]}
    if wanted:
        _write_stages(own.layout)
        if own.process(kwok(own.layout)) is None:
            own.start(kwok(own.layout))
    for names in _chunks(sorted(there - wanted)):
        # One request for all: kubectl itself would make one for each, which is slow.
        chosen = quote(f"{LABEL},kubernetes.io/hostname in ({','.join(names)})")
        kubectl("delete", "--raw", f"/api/v1/nodes?labelSelector={chosen}", timeout_s=120)
    for names in _chunks(sorted(wanted - there)):
        kubectl("create", "-f", "-", stdin=as_list([_node(each) for each in names]), timeout_s=120)
    deadline = time.monotonic() + _READY_S
    while (ready := _ready(kubectl)) != number:
        if time.monotonic() > deadline:
            raise LabError(f"only {ready} of {number} fake nodes are ready after {_READY_S:.0f} s")
        time.sleep(0.5)


def kwok(layout: Layout) -> Program:
    """The program that simulates the kubelets of fake nodes."""
    return Program(
        "kwok",
        "kwok",
        (
            f"--kubeconfig={layout.credentials('kwok')}",
            f"--config={layout.config('kwok.json')}",
            f"--manage-nodes-with-label-selector={LABEL}",
            "--cidr=100.66.0.0/16",
            "--node-lease-duration-seconds=40",
        ),
    )


def wanted(layout: Layout) -> bool:
    """Whether fake nodes were requested since the cluster started."""
    return layout.config("kwok.json").exists()


def _ready(kubectl: Kubectl) -> int:
    """Count the fake nodes that are ready."""
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return kubectl("get", "nodes", "-l", LABEL, "-o", f"jsonpath={path}").split().count("True")


def _name(number: int) -> str:
    return f"fake-{number:04d}"


def _chunks(names: list[str]) -> list[list[str]]:
    return [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]


def _node(name: str) -> dict[str, Any]:
    number = int(name.rpartition("-")[2]) - 1
    labels = {LABEL: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    labels |= {label: f"nn-{size}-{number // size}" for label, size in _LAYERS.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [TAINT]},
        "status": {"capacity": _CAPACITY, "allocatable": _CAPACITY},
    }


def _write_stages(layout: Layout) -> None:
    options = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "nodeLeaseParallelism": 16,
            "nodePlayStageParallelism": 16,
            "podPlayStageParallelism": 16,
            "podsOnNodeSyncParallelism": 1,
        },
    }
    documents = [options, *_STAGES]
    layout.config("kwok.json").write_text(
        "\n---\n".join(json.dumps(each) for each in documents), encoding="utf-8"
    )


def _stage(name: str, kind: str, when: list[dict[str, Any]], then: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": then,
        },
    }


_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
_DELETED = ".metadata.deletionTimestamp"
_NODE_STATUS = """
{{ $now := Now | Quote }}
conditions:
- {type: Ready, status: "True", reason: FakeNode, message: "", lastHeartbeatTime: {{ $now }},
   lastTransitionTime: {{ $now }}}
addresses:
- {type: Hostname, address: {{ .metadata.name | Quote }}}
nodeInfo: {architecture: amd64, operatingSystem: linux, kubeletVersion: fake, kubeProxyVersion: "",
  containerRuntimeVersion: "fake://", bootID: "", kernelVersion: "", machineID: "", osImage: "",
  systemUUID: ""}
phase: Running
"""
_POD_STATUS = """
{{ $now := Now | Quote }}
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ $now }}}
- {type: ContainersReady, status: "True", lastTransitionTime: {{ $now }}}
- {type: Ready, status: "True", lastTransitionTime: {{ $now }}}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: true, restartCount: 0,
   state: {running: {startedAt: {{ $now }}}}}
{{ end }}
phase: Running
startTime: {{ $now }}
"""
# Pods run until they are deleted: a job that ended at once would not show what it waits for.
_STAGES = [
    _stage(
        "node-ready",
        "Node",
        [{"key": _READY, "operator": "NotIn", "values": ["True"]}],
        {"statusTemplate": _NODE_STATUS},
    ),
    _stage(
        "pod-running",
        "Pod",
        [
            {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
            {"key": _DELETED, "operator": "DoesNotExist"},
        ],
        {"statusTemplate": _POD_STATUS},
    ),
    _stage("pod-gone", "Pod", [{"key": _DELETED, "operator": "Exists"}], {"delete": True}),
]
