"""Training in a real cluster by the real engine: the lab's Kubernetes with JobSet and Kueue."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab import LabError
from lab.images import reference
from lab.kubernetes.fake_nodes import LABEL, TAINT, set_number
from tests.components.kubernetes.jobs import one_pod, torchrun
from tests.waiting import until

if TYPE_CHECKING:
    from tests.components.kubernetes.conftest import Stack

pytestmark = pytest.mark.slow

REFUSED = """
import json
print(json.dumps({"event": "refused", "reasons": ["gain 0.01 < 0.02"]}))
raise SystemExit(1)
"""
RELEASED = """
import json
print(json.dumps({"event": "released", "release": "sft@sha256:2e", "passed": True, "tokens": 7}))
"""


NEEDS_SECRETS = """
import os
assert open("/keys/signing.pem").read() == "planted-key"
assert os.environ["TOKEN"] == "planted-token"
"""


def test_a_job_trains_and_hands_its_release_on(stack: Stack) -> None:
    shape = stack.shape(torchrun(steps=12))
    said = stack.project.up(**shape)
    assert "step 12/12  loss 0.250  1,000 tokens/s  0:00 left" in said

    outputs = json.loads(stack.project.pulumi("stack", "output", "--json"))
    assert outputs["release"] == "sft@sha256:1f"
    assert outputs["passed"] is True
    assert outputs["evaluation"] == {"sum": [3.0]}, "both pods took part in the sum"
    assert outputs["tokens"] == 12_000
    (job_set,) = stack.get("jobsets")
    assert job_set["status"]["restarts"] == 0
    (workload,) = stack.get("workloads")
    admitted = {each["type"]: each["status"] for each in workload["status"]["conditions"]}
    assert admitted["Admitted"] == "True"
    assert stack.project.unchanged(**shape)

    # Another recipe is another run, and nothing else.
    other = stack.shape(torchrun(steps=3))
    assert stack.changed(**other) == {
        "ConfigMap": "replace",
        "JobSet": "replace",
        "TrainingOutcome": "update",
    }
    state = "".join(path.read_text() for path in stack.project.backend.rglob("*.json"))
    assert "client-key-data" not in state, "the kubeconfig is in the state, encrypted"
    assert "ciphertext" in state

    stack.project.up(**other)
    assert stack.project.output("tokens") == 3_000
    assert [each["metadata"]["name"] for each in stack.get("jobsets")] == [stack.project.output("job")]


def test_a_job_beyond_the_quota_waits_whole_and_says_why(stack: Stack) -> None:
    job = {**torchrun(steps=1, pods=11), "queue_timeout_s": 4}
    said = stack.project.up(check=False, **stack.shape(job))
    assert "waits in the queue: couldn't assign flavors to pod set workers" in said
    assert "cpu in flavor" in said
    assert "gave up after 4 s; the job itself keeps waiting" in said
    assert stack.pods() == []

    # Where the quota is known, that can be known before.
    refused = stack.project.preview(check=False, **stack.shape({**job, "check": True}))
    assert "ClusterError: training job sft would never start: 11 pods x 100m of cpu, but any has 1" in refused

    # The same job fits a larger quota: it was waiting all the time.
    larger = {"name": "any", "quota": {"cpu": "2", "memory": "16Gi"}}
    quick = one_pod(RELEASED, pods=11, spread=False)
    stack.project.up(**stack.shape(quick, flavors=[larger]))
    assert stack.project.output("release") == "sft@sha256:2e"


def test_a_model_that_its_gate_refuses_is_not_trained_again(stack: Stack) -> None:
    said = stack.project.up(check=False, **stack.shape(one_pod(REFUSED)))
    assert "the model is not released: gain 0.01 < 0.02" in said
    assert "Traceback" not in said
    (job_set,) = stack.get("jobsets")
    assert job_set["status"].get("restarts", 0) == 0
    assert [each["status"]["phase"] for each in stack.pods()] == ["Failed"]

    # A corrected recipe is the way on; the job before gives way.
    stack.project.up(**stack.shape(one_pod(RELEASED)))
    assert stack.project.output("release") == "sft@sha256:2e"
    assert len(stack.get("jobsets")) == 1


def test_what_crashes_is_started_again_a_number_of_times_and_then_told_with_the_way_back(
    stack: Stack,
) -> None:
    crash = one_pod("print('out of luck'); raise SystemExit(75)", restarts=1)
    said = stack.project.up(check=False, **stack.shape(crash))
    assert "ended with 75 (retryable): out of luck; fix that, then run pulumi up --replace" in said
    (job_set,) = stack.get("jobsets")
    assert job_set["status"]["restarts"] == 1
    again = stack.project.pulumi(
        "up", "--yes", "--skip-preview", "--replace", "**JobSet::sft", check=False, **stack.shape(crash)
    )
    assert "out of luck" in again
    (other,) = stack.get("jobsets")
    assert other["metadata"]["uid"] != job_set["metadata"]["uid"], "the named way makes it anew"


@pytest.mark.parametrize("refused", [pytest.param("pods", marks=pytest.mark.soak), "count/jobs.batch"])
def test_pods_that_the_cluster_refuses_are_told_of_in_its_words(stack: Stack, refused: str) -> None:
    stack.project.up(**stack.shape())
    stack.cluster.kubectl("create", "quota", "closed", "-n", stack.namespace, f"--hard={refused}=0")
    said = stack.project.up(check=False, **stack.shape(one_pod(RELEASED, queue_timeout_s=3)))
    assert "its pods cannot be created: " in said
    assert "exceeded quota: closed" in said


def test_who_does_not_wait_finds_the_release_by_a_refresh(stack: Stack) -> None:
    stack.project.up(**stack.shape())
    entries = [f"--from-literal={name}=planted-{name}" for name in ("key", "token")]
    stack.cluster.kubectl("create", "secret", "generic", "signing", "-n", stack.namespace, *entries)
    job = one_pod(NEEDS_SECRETS + RELEASED, wait=False, secrets={"file": "key", "environment": "token"})
    shape = stack.shape(job)
    stack.project.up(**shape)
    assert stack.project.output("release") == ""
    assert stack.project.unchanged(**shape), "what is not known yet is no change"
    until(lambda: [each["status"].get("phase") for each in stack.pods()] == ["Succeeded"])
    until(lambda: stack.get("jobsets")[0]["status"].get("terminalState") == "Completed")
    stack.project.pulumi("refresh", "--yes", "--skip-preview", **shape)
    stack.project.up(**shape)
    assert stack.project.output("release") == "sft@sha256:2e"
    assert stack.project.unchanged(**shape)


def test_a_pod_that_is_not_hardened_has_no_place_there(stack: Stack) -> None:
    stack.project.up(**stack.shape())
    bare = {"name": "bare", "image": reference("pause")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": {"containers": [bare]}}
    with pytest.raises(LabError, match="violates PodSecurity"):
        stack.cluster.kubectl("create", "-n", stack.namespace, "-f", "-", stdin=json.dumps(pod))
    policies = {each["metadata"]["name"]: each["spec"] for each in stack.get("networkpolicies")}
    assert policies["deny-all"]["policyTypes"] == ["Ingress", "Egress"]
    assert set(policies) == {"deny-all", "dns", "to-bucket"}


# `make test` declares them to mocks: test_platform.py.
@pytest.mark.soak
def test_agents_of_gpu_nodes_are_taken_by_a_real_api_server(stack: Stack) -> None:
    stack.project.up(**stack.shape(agents=True))
    listed = stack.cluster.kubectl.get("daemonsets", "-n", f"{stack.namespace}-nodes")["items"]
    assert {each["metadata"]["name"] for each in listed} == {
        "nvidia-device-plugin",
        "dcgm-exporter",
        "efa-device-plugin",
    }
    assert stack.project.unchanged(**stack.shape(agents=True))


@pytest.mark.parametrize("unknown", [True, False], ids=["not known yet", "not reachable"])
def test_a_preview_is_complete_without_a_cluster(stack: Stack, tmp_path: Path, unknown: bool) -> None:
    nowhere = tmp_path / "nowhere"
    told = json.loads(Path(stack.cluster.kubeconfig).read_text())
    told["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    nowhere.write_text(json.dumps(told))
    shape = stack.shape(torchrun(steps=1)) | {"kubeconfig": str(nowhere), "unknown": unknown}
    changed = stack.changed(**shape)
    kinds = {"Namespace", "NetworkPolicy", "ServiceAccount", "ResourceFlavor", "ClusterQueue", "LocalQueue"}
    assert kinds | {"ConfigMap", "JobSet", "TrainingOutcome"} <= set(changed)
    assert set(changed.values()) == {"create"}


# `make test` admits jobs whole or not at all in tests/lab/kubernetes/test_queueing.py.
@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pods", [64])
def test_a_job_on_nodes_with_efa_is_admitted_whole_or_not_at_all(stack: Stack, pods: int) -> None:
    gpu, efa = "nvidia.com/gpu", "vpc.amazonaws.com/efa"

    def flavor(nodes: int) -> dict[str, Any]:
        quota = {"cpu": "12000", "memory": "100Ti", gpu: str(8 * nodes), efa: str(32 * nodes)}
        layers = [f"topology.k8s.aws/network-node-layer-{each}" for each in (1, 2, 3)]
        fake = {"node_labels": {LABEL: "true"}, "taints": [TAINT]}
        return {"name": "p5", "quota": quota, "topology": [*layers, "kubernetes.io/hostname"], **fake}

    job = {
        "image": reference("pause"),
        "pods": pods,
        "size": {"cpu": "96", "memory": "1Ti", "gpus": 8, "efa": 32},
        "nearby": "topology.k8s.aws/network-node-layer-1",
        "wait": False,
    }
    try:
        set_number(stack.cluster, pods)
        stack.project.up(**stack.shape(job, flavors=[flavor(pods - 1)]))
        for _ in range(10):  # all but one of them would fit
            assert stack.pods() == []
            time.sleep(0.3)
        begun = time.monotonic()
        stack.project.preview(**stack.shape(job, flavors=[flavor(pods)]))
        preview_s = time.monotonic() - begun
        stack.project.up(**stack.shape(job, flavors=[flavor(pods)]))
        since = time.monotonic()
        until(lambda: len(placed(stack)) == pods)
        bound_s = time.monotonic() - since
        (workload,) = stack.get("workloads")
        print(
            f"{pods} nodes: preview {preview_s:.1f} s, all bound {bound_s:.1f} s after up;", waited(workload)
        )
        assert len(set(placed(stack))) == pods, "a node each"
        assert all(each.startswith("fake-") for each in placed(stack))
    finally:
        with suppress(LabError):
            stack.project.pulumi("destroy", "--yes", "--skip-preview", **stack.shape())
        set_number(stack.cluster, 0)


def waited(workload: dict[str, Any]) -> str:
    """From the time that its quota was there: Kueue's own words on admission."""
    conditions = {each["type"]: each for each in workload["status"]["conditions"]}
    return f"{conditions['QuotaReserved']['message']}; {conditions['Admitted']['message']}"


def placed(stack: Stack) -> list[str]:
    return [each["spec"]["nodeName"] for each in stack.pods() if "nodeName" in each["spec"]]
