"""What a training job declares: hardened pods, one name for the same inputs, another for any other."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest
from pulumi.output import UNKNOWN

from components.kubernetes.job_args import PodSize, SecretKey
from components.kubernetes.job_set import job_set
from components.kubernetes.training_job import TrainingJob
from tests.components.kubernetes.declared import Declared, declared
from tests.components.kubernetes.test_job_args import job


def spec(**changes: Any) -> dict[str, Any]:
    return job_set("sft", job(**changes), "sft-config")


def pod_of(told: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = told["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return pod


def train(*, preview: bool = False, **changes: Any) -> Declared:
    return declared(lambda: TrainingJob("sft", job(**changes)), preview=preview)


def name_of(**changes: Any) -> str:
    return str(train(**changes).resources["JobSet", "sft"]["metadata"]["name"])


def test_pods_are_as_the_restricted_standard_wants_them_and_have_no_token() -> None:
    pod = pod_of(spec())
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {kind for volume in pod["volumes"] for kind in volume} == {"name", "configMap", "emptyDir"}


def test_a_pod_of_a_gpu_instance_asks_for_all_of_it_and_has_a_process_a_gpu() -> None:
    (container,) = pod_of(spec())["containers"]
    assert container["resources"]["requests"] == {
        "cpu": "8",
        "memory": "64Gi",
        "nvidia.com/gpu": "8",
        "vpc.amazonaws.com/efa": "32",
    }
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert "--nproc-per-node=8" in container["args"]
    assert {"name": "FI_PROVIDER", "value": "efa"} in container["env"]


def test_torchrun_meets_at_the_first_pod_of_a_job() -> None:
    (container,) = pod_of(spec())["containers"]
    assert container["command"] == ["python3", "-m", "scenario_model.train.torchrun"]
    assert container["args"] == [
        "--nnodes=2",
        "--nproc-per-node=8",
        "--node-rank=$(JOB_COMPLETION_INDEX)",
        "--master-addr=$(JOBSET)-workers-0-0.$(JOBSET)",
        "--master-port=29500",
        "--rdzv-conf=timeout=3600",
        "--shutdown-timeout=110",
        *("-m", "scenario_model", "job", "--config", "/config/job.json"),
    ]


def test_pods_wait_for_each_other_as_long_as_the_job_may_wait_for_nodes() -> None:
    (container,) = pod_of(spec(queue_timeout_s=7200))["containers"]
    assert "--rdzv-conf=timeout=7200" in container["args"]


def test_a_pod_knows_the_node_that_it_is_on() -> None:
    (container,) = pod_of(spec())["containers"]
    node = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    assert node in container["env"]


def test_restarts_are_many_since_the_job_itself_ends_those_without_progress() -> None:
    assert spec()["failurePolicy"]["maxRestarts"] == 100


def test_each_pod_has_a_node_of_its_own_unless_that_is_not_wanted() -> None:
    assert "affinity" in pod_of(spec())
    assert "affinity" not in pod_of(spec(spread=False))
    assert "affinity" not in pod_of(spec(pods=1))


def test_secrets_are_named_and_never_copied() -> None:
    key = SecretKey(secret="signing", key="private.pem")
    pod = pod_of(spec(secret_files={"signing.pem": key}, secret_environment={"AWS_SECRET_ACCESS_KEY": key}))
    (keys,) = [volume for volume in pod["volumes"] if volume["name"] == "keys"]
    source = {"secret": {"name": "signing", "items": [{"key": "private.pem", "path": "signing.pem"}]}}
    assert keys["projected"] == {"sources": [source], "defaultMode": 0o440}
    (container,) = pod["containers"]
    assert container["env"][-1] == {
        "name": "AWS_SECRET_ACCESS_KEY",
        "valueFrom": {"secretKeyRef": {"name": "signing", "key": "private.pem"}},
    }


def test_the_same_inputs_have_the_same_name() -> None:
    assert name_of() == name_of()
    assert name_of(environment={"A": "1", "B": "2"}) == name_of(environment={"B": "2", "A": "1"})
    assert name_of(config={"a": 1, "b": 2}) == name_of(config={"b": 2, "a": 1})
    assert name_of(kubeconfig="{}") == name_of(kubeconfig='{"kind": "Config"}'), "access is no input of it"


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"recipe": {"rank": 32}}},
        {"image": "localhost/scenario-model:0.2.0"},
        {"pods": 3},
        {"size": PodSize(cpu="8", memory="64Gi", gpus=4)},
        {"program": ["-m", "scenario_model", "job", "--config", "/config/other.json"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_other_input_is_another_job(changes: dict[str, Any]) -> None:
    assert name_of(**changes) != name_of()


def test_the_queue_decides_when_it_starts() -> None:
    told = train().resources["JobSet", "sft"]
    assert told["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "suspend" not in told["spec"], "it is Kueue's to say; ours would stop a job that runs"


def test_the_configuration_is_what_the_pods_read() -> None:
    told = train()
    (config,) = told.of("ConfigMap").values()
    assert json.loads(config["data"]["job.json"]) == {"recipe": {"rank": 16}}
    assert config["immutable"] is True
    volumes = {each["name"]: each for each in pod_of(told.resources["JobSet", "sft"]["spec"])["volumes"]}
    assert volumes["config"]["configMap"] == {"name": config["metadata"]["name"]}


def test_only_pods_of_the_same_job_may_speak_to_each_other() -> None:
    (policy,) = train().of("NetworkPolicy").values()
    peers = [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "sft"}}}]
    assert policy["spec"]["ingress"] == [{"from": peers}]
    assert policy["spec"]["egress"] == [{"to": peers}]
    assert policy["spec"]["podSelector"] == peers[0]["podSelector"]


def test_a_preview_is_complete_while_bucket_and_cluster_are_not_known() -> None:
    def build() -> None:
        unknown: pulumi.Output[Any] = pulumi.Output.from_input(UNKNOWN)
        TrainingJob("sft", job(config={"store": unknown}, kubeconfig=unknown))

    told = declared(build, preview=True)
    assert {kind for kind, _ in told.resources} >= {"ConfigMap", "JobSet", "NetworkPolicy", "TrainingOutcome"}
    shown = told.resources["JobSet", "sft"]["spec"]
    assert "--nnodes=2" in pod_of(shown)["containers"][0]["args"], "what is known is shown"
