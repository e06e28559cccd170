"""`python -m benchmarks.lab_scale 100 1000`: jobs on fake GPU nodes in a lab that is up (`sudo make lab`).

For each number of nodes: how long until all are ready; how long until a job is admitted by Kueue and until
all of its pods are bound; how much memory the control plane then holds.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import LabError, state_folder
from lab.images import reference
from lab.kubernetes.fake_nodes import GPUS, LABEL, TOLERATION, set_number
from lab.kubernetes.lifecycle import running
from lab.machine import require
from lab.processes import all_pids

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.kubernetes.cluster import Cluster, OwnCluster

_GPU = "nvidia.com/gpu"
_NAME = "lab-scale"
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one job on one number of nodes showed; seconds and bytes."""

    nodes: int
    workers: int
    ready_s: float
    admitted_s: float
    bound_s: float
    memory: dict[str, int]
    placed: list[str]
    """The node of each pod."""


def measure(cluster: Cluster, *, nodes: int, workers: int) -> Measured:
    """Have this many nodes, queue a job of pods that each fill one, and take it away again."""
    if cluster.own is None:
        raise LabError("this cluster was given to the lab: measure the lab's own")
    kubectl, begun = cluster.kubectl, time.monotonic()
    set_number(cluster, nodes)
    ready_s = time.monotonic() - begun
    kubectl.apply(queue(_NAME, {_GPU: str(nodes * GPUS)}, node_labels={LABEL: "true"}))
    begun = time.monotonic()
    kubectl.apply([_job(workers)])
    try:
        _until(lambda: _admitted(cluster))
        admitted_s = time.monotonic() - begun
        _until(lambda: len(_placed(cluster)) == workers)
        bound_s = time.monotonic() - begun
        return Measured(
            nodes=nodes,
            workers=workers,
            ready_s=ready_s,
            admitted_s=admitted_s,
            bound_s=bound_s,
            memory=_memory(cluster.own),
            placed=_placed(cluster),
        )
    finally:
        kubectl("delete", "jobset", _NAME, "--cascade=foreground", timeout_s=_TIMEOUT_S)
        kubectl("delete", "localqueue,clusterqueue,resourceflavor", _NAME, timeout_s=_TIMEOUT_S)


def queue(
    name: str, quota: dict[str, str], *, node_labels: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """A queue in the default namespace with a quota of its own, all its objects by one name."""

    def named(kind: str, **body: Any) -> dict[str, Any]:
        metadata = {"name": name} | ({"namespace": "default"} if kind == "LocalQueue" else {})
        return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, **body}

    resources = [{"name": each, "nominalQuota": amount} for each, amount in quota.items()]
    group = {"coveredResources": list(quota), "flavors": [{"name": name, "resources": resources}]}
    flavor = {"nodeLabels": node_labels, "tolerations": [TOLERATION]} if node_labels else {}
    return [
        named("ResourceFlavor", spec=flavor),
        named("ClusterQueue", spec={"namespaceSelector": {}, "resourceGroups": [group]}),
        named("LocalQueue", spec={"clusterQueue": name}),
    ]


def job_set(name: str, pods: int, spec: dict[str, Any]) -> dict[str, Any]:
    """A job set of equal pods, queued by the queue of the same name; it starts suspended."""
    job = {
        "parallelism": pods,
        "completions": pods,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": {"spec": spec},
    }
    metadata = {"name": name, "namespace": "default", "labels": {"kueue.x-k8s.io/queue-name": name}}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": {"suspend": True, "replicatedJobs": [{"name": "workers", "template": {"spec": job}}]},
    }


def _job(pods: int) -> dict[str, Any]:
    container = {
        "name": "worker",
        "image": reference("pause"),
        "resources": {"limits": {_GPU: str(GPUS)}},
    }
    return job_set(_NAME, pods, {"restartPolicy": "Never", "containers": [container]})


def _admitted(cluster: Cluster) -> bool:
    workloads = cluster.kubectl.get("workloads")["items"]
    return any(
        condition["type"] == "Admitted" and condition["status"] == "True"
        for each in workloads
        if each["spec"]["queueName"] == _NAME
        for condition in each.get("status", {}).get("conditions", [])
    )


def _placed(cluster: Cluster) -> list[str]:
    pods = cluster.kubectl.get("pods", "-l", f"jobset.sigs.k8s.io/jobset-name={_NAME}")["items"]
    return [each["spec"]["nodeName"] for each in pods if "nodeName" in each["spec"]]


def _memory(own: OwnCluster) -> dict[str, int]:
    """The resident memory of the control plane, by program, in bytes; Kueue and JobSet are both `manager`."""
    wanted = {"etcd", "kube-apiserver", "kube-controller", "kube-scheduler", "kwok", "manager"}
    found: dict[str, int] = {}
    for pid in all_pids():
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        except OSError:  # it ended meanwhile
            continue
        fields = dict(line.split(":", 1) for line in status)
        name = fields["Name"].strip()
        if name in wanted and own.layout.side.cgroup in groups:
            found[name] = found.get(name, 0) + int(fields["VmRSS"].split()[0]) * 1024
    return found


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"not within {_TIMEOUT_S:.0f} s")
        time.sleep(0.2)


def main() -> None:
    """`python -m benchmarks.lab_scale NODES... [--workers PODS]`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab_scale", description=__doc__)
    parser.add_argument("nodes", type=int, nargs="+", help="numbers of nodes, one measurement each")
    parser.add_argument("--workers", type=int, default=64, help="pods of the job, a node each (default: 64)")
    wanted = parser.parse_args()
    try:
        require()
        cluster = running(state_folder())
        for nodes in wanted.nodes:
            told = measure(cluster, nodes=nodes, workers=wanted.workers)
            times = (
                f"ready {told.ready_s:.1f} s, admitted {told.admitted_s:.1f} s, bound {told.bound_s:.1f} s"
            )
            memory = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in sorted(told.memory.items()))
            print(f"{nodes} nodes, {told.workers} workers: {times}; MiB: {memory}", flush=True)
        set_number(cluster, 0)
    except LabError as error:
        sys.exit(f"lab_scale: {error}")


if __name__ == "__main__":
    main()
