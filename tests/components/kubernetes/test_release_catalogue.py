"""What a catalogue declares in a cluster: two servers, a step every minute, and no key where it is not needed."""

from __future__ import annotations

import json
from typing import Any

from components.kubernetes.exposure import Exposure
from components.kubernetes.job_args import SecretKey
from components.kubernetes.release_catalogue import ReleaseCatalogue, ReleaseCatalogueArgs, Waking
from components.kubernetes.workload import Workload
from tests.components.kubernetes.declared import Declared, declared

WORKLOAD = Workload(
    namespace="serving",
    image="models:1",
    service_account="server",
    environment={"AWS_REGION": "eu-central-1"},
    secret_environment={"AWS_ACCESS_KEY_ID": SecretKey(secret="bucket", key="AWS_ACCESS_KEY_ID")},
)


def catalogue(**changes: Any) -> Declared:
    arguments: dict[str, Any] = {
        "workload": WORKLOAD,
        "store": "s3://models/plant",
        "name": "assistant",
        "certificate": "CERTIFICATE",
        "private_key": "PRIVATE KEY",
        "sites_key": "SITES KEY",
        "online_key": "ONLINE KEY",
        "verification_key": "PUBLIC KEY",
        "rollout": {"rings": ["first", "all"]},
        "exposure": Exposure(service="NodePort", port=30944),
        **changes,
    }
    return declared(lambda: ReleaseCatalogue("catalogue", ReleaseCatalogueArgs(**arguments)))


def test_the_rollouts_key_is_where_the_step_runs_and_nowhere_else() -> None:
    told = catalogue()
    web, step = told.resources["Secret", "catalogue"], told.resources["Secret", "rollout"]
    assert "ONLINE KEY" not in json.dumps(web)
    assert step["stringData"]["value"] == {"online.pem": "ONLINE KEY"}
    pods = told.resources["Deployment", "catalogue"]["spec"]["template"]["spec"]
    assert [each["secret"]["secretName"] for each in pods["volumes"] if "secret" in each] == ["catalogue"]
    assert "KEY" not in json.dumps(told.resources["ConfigMap", "catalogue"]).replace("PUBLIC KEY", "")


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    told = catalogue()
    job = told.resources["CronJob", "rollout"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for pod in (told.resources["Deployment", "catalogue"]["spec"]["template"]["spec"], job):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        environment = {each["name"]: each for each in container["env"]}
        assert environment["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "bucket"


def test_two_servers_leave_one_after_the_other_and_are_apart() -> None:
    told = catalogue()
    spec = told.resources["Deployment", "catalogue"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    keys = [each["topologyKey"] for each in spec["template"]["spec"]["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert told.resources["PodDisruptionBudget", "catalogue"]["spec"]["maxUnavailable"] == 1


def test_sites_reach_it_on_the_nodes_or_through_a_balancer_and_only_from_the_networks_given() -> None:
    service = catalogue().resources["Service", "catalogue"]["spec"]
    assert service["type"] == "NodePort"
    assert service["ports"] == [{"name": "https", "port": 30944, "targetPort": "https", "nodePort": 30944}]
    balanced = Exposure(
        service="LoadBalancer", port=443, annotations={"scheme": "internal"}, clients=["10.1.0.0/16"]
    )
    told = catalogue(exposure=balanced)
    assert "nodePort" not in told.resources["Service", "catalogue"]["spec"]["ports"][0]
    assert told.resources["Service", "catalogue"]["metadata"]["annotations"] == {"scheme": "internal"}
    (rule,) = told.resources["NetworkPolicy", "catalogue-clients"]["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
    (rule,) = catalogue().resources["NetworkPolicy", "catalogue-clients"]["spec"]["ingress"]
    assert "from" not in rule


def test_a_renewed_certificate_starts_new_pods_and_another_rollout_setting_does_too() -> None:
    def digest(**changes: Any) -> str:
        spec = catalogue(**changes).resources["Deployment", "catalogue"]["spec"]["template"]
        return str(spec["metadata"]["annotations"]["scenario/files"])

    assert digest() == digest()
    assert len({digest(), digest(certificate="NEW"), digest(rollout={"rings": ["all"]})}) == 3


def test_no_step_overlaps_another_and_none_is_repeated_by_kubernetes() -> None:
    spec = catalogue().resources["CronJob", "rollout"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("* * * * *", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0


def test_whoever_has_the_endpoints_key_may_have_it_started_and_the_scaler_reads_that() -> None:
    told = catalogue(waking=Waking(api_key_sha256="f" * 64, scaler="keda"))
    (container,) = told.resources["Deployment", "catalogue"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-2:] == ["--wake-keys", "/config/wake_keys.json"]
    keys = json.loads(told.resources["ConfigMap", "catalogue"]["data"]["wake_keys.json"])
    assert keys == {"keys": [{"id": "client", "sha256": "f" * 64}]}
    service = told.resources["Service", "catalogue-metrics"]["spec"]
    policy = told.resources["NetworkPolicy", "catalogue-metrics"]["spec"]
    pods = told.resources["Deployment", "catalogue"]["spec"]["selector"]["matchLabels"]
    assert service["selector"] == policy["podSelector"]["matchLabels"] == pods
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]
    assert service["ports"][0]["port"] == rule["ports"][0]["port"]


def test_if_the_endpoint_never_sleeps_nobody_may_wake_it_or_read_metrics() -> None:
    told = catalogue()
    (container,) = told.resources["Deployment", "catalogue"]["spec"]["template"]["spec"]["containers"]
    assert "--wake-keys" not in container["args"]
    assert set(told.of("NetworkPolicy")) == {"catalogue-clients"}
