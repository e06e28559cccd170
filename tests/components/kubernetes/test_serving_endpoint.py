"""What a hosted endpoint declares: one Deployment per release, ready before it is used, drained before it goes."""

from __future__ import annotations

import json
from typing import Any

from components.kubernetes.exposure import Exposure
from components.kubernetes.scaling import Scaling, Sleep
from components.kubernetes.serving_endpoint import (
    METRICS_PORT,
    EndpointSize,
    ServingEndpoint,
    ServingEndpointArgs,
)
from tests.components.kubernetes.declared import Declared, declared
from tests.components.kubernetes.test_release_catalogue import WORKLOAD

RELEASE = f"assistant@sha256:{'0' * 64}"


def endpoint(**changes: Any) -> Declared:
    arguments: dict[str, Any] = {
        "workload": WORKLOAD,
        "store": "s3://models/plant",
        "release": RELEASE,
        "verification_key": "PUBLIC KEY",
        "serving": {"limits": {"connections": 64}, "port": 1},
        "drain_seconds": 120.0,
        "certificate": "CERTIFICATE",
        "private_key": "PRIVATE KEY",
        "api_key_sha256": "f" * 64,
        "size": EndpointSize(cpu="2", memory="8Gi", gpus=1),
        "replicas": 2,
        "load_seconds": 903,
        "exposure": Exposure(service="NodePort", port=30943),
        **changes,
    }
    return declared(lambda: ServingEndpoint("endpoint", ServingEndpointArgs(**arguments)))


def name_of(told: Declared) -> str:
    return str(told.resources["Deployment", "endpoint"]["metadata"]["name"])


def test_a_release_has_a_deployment_of_its_own_and_the_service_leads_to_that_alone() -> None:
    told, other = endpoint(), endpoint(release=RELEASE.replace("0", "1"))
    assert name_of(told) == name_of(endpoint())
    assert name_of(told) != name_of(other)
    selector = told.resources["Service", "endpoint"]["spec"]["selector"]
    pods = told.resources["Deployment", "endpoint"]["spec"]
    assert selector == pods["selector"]["matchLabels"] == pods["template"]["metadata"]["labels"]
    assert selector != other.resources["Service", "endpoint"]["spec"]["selector"]


def test_whatever_a_pod_is_told_is_part_of_its_deployments_name() -> None:
    changes: list[dict[str, Any]] = [
        {"certificate": "NEW"},
        {"api_key_sha256": "e" * 64},
        {"serving": {}},
        {"size": EndpointSize(cpu="4", memory="8Gi")},
        {"drain_seconds": 60.0},
    ]
    assert len({name_of(endpoint()), *(name_of(endpoint(**each)) for each in changes)}) == 1 + len(changes)
    assert name_of(endpoint(replicas=5)) == name_of(endpoint()), "the number of pods is changed in place"


def test_a_pod_is_used_when_it_has_produced_a_token_and_has_time_to_finish_its_answers() -> None:
    spec = endpoint().resources["Deployment", "endpoint"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    probe = container["startupProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": "https", "scheme": "HTTPS"}
    assert probe["failureThreshold"] * probe["periodSeconds"] >= 903
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert pod["terminationGracePeriodSeconds"] >= 120 + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "cpu" not in container["resources"]["limits"]


def test_the_server_is_told_what_the_settings_say_but_for_where_it_listens() -> None:
    told = endpoint()
    data = told.resources["ConfigMap", "endpoint"]["data"]
    settings = json.loads(data["serve.json"])
    assert settings["limits"] == {"connections": 64}
    assert (settings["host"], settings["port"], settings["drain_seconds"]) == ("0.0.0.0", 8443, 120.0)
    assert settings["release"] == RELEASE
    assert settings["name"] == "assistant"
    assert json.loads(data["api_keys.json"]) == {"keys": [{"id": "client", "sha256": "f" * 64}]}
    assert "PRIVATE KEY" not in json.dumps(data)


def test_under_load_keda_adds_pods_to_the_newest_deployment_and_reads_what_they_say_themselves() -> None:
    told = endpoint(scaling=Scaling(most=8, waiting=1, running=12, namespace="keda"))
    spec = told.resources["ScaledObject", "endpoint"]["spec"]
    assert spec["scaleTargetRef"] == {"name": name_of(told)}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 8)
    wishes = {each["metadata"]["valueLocation"]: each["metadata"]["targetValue"] for each in spec["triggers"]}
    assert wishes == {"vllm:num_requests_waiting": "1", "vllm:num_requests_running": "12"}
    service = told.resources["Service", "endpoint-metrics"]
    (port,) = service["spec"]["ports"]
    where = f"http://endpoint-metrics.{service['metadata']['namespace']}.svc:{METRICS_PORT}/metrics"
    assert {each["metadata"]["url"] for each in spec["triggers"]} == {where}
    assert service["spec"]["selector"] == told.resources["Service", "endpoint"]["spec"]["selector"]
    (rule,) = told.resources["NetworkPolicy", "endpoint-metrics"]["spec"]["ingress"]
    assert port["port"] == rule["ports"][0]["port"] == METRICS_PORT
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]


def test_an_endpoint_that_sleeps_has_no_pod_while_nobody_wants_it_and_starts_as_many_as_it_has_at_least() -> (
    None
):
    wanted = "http://catalogue-metrics.serving.svc:9445/metrics"
    sleep = Sleep(after_seconds=600, wanted=wanted)
    told = endpoint(scaling=Scaling(most=8, waiting=1, running=12, namespace="keda", sleep=sleep))
    spec = told.resources["ScaledObject", "endpoint"]["spec"]
    assert (spec["idleReplicaCount"], spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 2, 8)
    assert spec["cooldownPeriod"] == spec["initialCooldownPeriod"] == 600
    last = spec["triggers"][-1]["metadata"]
    assert (last["url"], last["valueLocation"]) == (wanted, "catalogue_endpoint_wanted")
    # Two replicas of the catalogue that both have a wish are no reason for two pods.
    assert last["aggregationType"] == "max"
    # If it shall not sleep any more while it does, KEDA would start no pod: it is a new Deployment, with pods.
    assert name_of(told) != name_of(
        endpoint(scaling=Scaling(most=8, waiting=1, running=12, namespace="keda"))
    )


def test_without_scaling_nobody_is_let_in_to_the_metrics() -> None:
    told = endpoint()
    assert set(told.of("NetworkPolicy")) == {"endpoint-clients"}
    assert "ScaledObject" not in {kind for kind, _ in told.resources}
