"""Sets of jobs, admitted whole or not at all: real pods that compute together, and workers on fake nodes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.lab_scale import job_set, measure, queue
from lab import LabError
from lab.kubernetes.fake_nodes import LABEL, set_number
from tests.lab.kubernetes.pods import pod_spec
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.kubernetes.cluster import Cluster

pytestmark = pytest.mark.slow

ALL_REDUCE = """
import os, socket
import torch, torch.distributed as dist
rank, name = int(os.environ["JOB_COMPLETION_INDEX"]), os.environ["JOBSET"]
peers = [f"{name}-workers-0-{each}.{name}" for each in range(2)]
assert socket.gethostname() == peers[rank].partition(".")[0]
dist.init_process_group("gloo", init_method=f"tcp://{peers[0]}:29500", rank=rank, world_size=2)
summed = torch.full((1000,), float(rank + 1))
dist.all_reduce(summed)
print("sum", summed.unique().tolist(), "of", dist.get_world_size())
dist.destroy_process_group()
"""


@contextmanager
def queued(cluster: Cluster, name: str, **quota: str) -> Iterator[None]:
    """A queue with a quota of its own, gone afterwards with its job sets."""
    cluster.kubectl.apply(queue(name, quota))
    try:
        yield
    finally:
        mine = f"kueue.x-k8s.io/queue-name={name}"
        cluster.kubectl("delete", "jobsets", "-l", mine, "--cascade=foreground", timeout_s=90)
        cluster.kubectl("delete", "localqueue,clusterqueue,resourceflavor", name)


def pods_of(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    told = cluster.kubectl.get("pods", "-l", f"jobset.sigs.k8s.io/jobset-name={name}")
    items: list[dict[str, Any]] = told["items"]
    return items


def phases(cluster: Cluster, name: str) -> list[str]:
    return sorted(each["status"]["phase"] for each in pods_of(cluster, name))


def test_two_pods_of_a_job_set_find_each_other_by_name_and_all_reduce(cluster: Cluster) -> None:
    with queued(cluster, "pair", cpu="1"):
        cluster.kubectl.apply([job_set("pair", 2, pod_spec(ALL_REDUCE, JOBSET="pair"))])
        until(lambda: sum(each in {"Succeeded", "Failed"} for each in phases(cluster, "pair")) == 2)
        named = [each["metadata"]["name"] for each in pods_of(cluster, "pair")]
        told = [cluster.kubectl("logs", name).strip() for name in named]
        assert told == ["sum [3.0] of 2"] * 2
        (workload,) = [
            each for each in cluster.kubectl.get("workloads")["items"] if each["spec"]["queueName"] == "pair"
        ]
        admitted = {each["type"]: each["status"] for each in workload["status"]["conditions"]}["Admitted"]
        assert admitted == "True", "Kueue let them start"


def test_a_job_beyond_the_quota_waits_whole_and_starts_whole_once_quota_frees(cluster: Cluster) -> None:
    wait = pod_spec("import time; time.sleep(600)", cpu="100m")
    # Both ask the queue of their quota: the second one under a name of its own.
    first, second = job_set("workers", 2, wait), job_set("workers", 3, wait)
    second["metadata"]["name"] = "workers-later"
    with queued(cluster, "workers", cpu="400m"):
        cluster.kubectl.apply([first])
        until(lambda: phases(cluster, "workers") == ["Running"] * 2)
        cluster.kubectl.apply([second])
        for _ in range(10):  # two of its three pods would fit: none is made
            assert pods_of(cluster, "workers-later") == []
            time.sleep(0.3)
        cluster.kubectl("delete", "jobset", "workers")
        until(lambda: phases(cluster, "workers-later") == ["Running"] * 3)


def test_a_job_is_placed_on_fake_gpu_nodes_a_node_each(cluster: Cluster) -> None:
    assert cluster.own
    try:
        told = measure(cluster, nodes=40, workers=16)
        assert len(set(told.placed)) == 16
        assert all(each.startswith("fake-") for each in told.placed)
        assert told.admitted_s <= told.bound_s
        assert {"etcd", "kube-apiserver", "manager"} <= set(told.memory)
        set_number(cluster, 3)
        left = cluster.kubectl.get("nodes", "-l", LABEL)["items"]
        assert [each["status"]["capacity"]["nvidia.com/gpu"] for each in left] == ["8"] * 3
    finally:
        set_number(cluster, 0)
    assert cluster.kubectl.get("nodes", "-l", LABEL)["items"] == []


def test_a_number_of_nodes_that_is_not_possible_is_refused(cluster: Cluster) -> None:
    with pytest.raises(LabError, match="invalid number of nodes -1: use 0 to 5000"):
        set_number(cluster, -1)
