"""What s4-cloud-serving declares on both sides, and what it refuses before anybody is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from stacks.settings.read import PROJECT
from tests.stacks.declaring import ROOT, config_of
from tests.stacks.serving import RELEASE, STACK, Declared, declare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    (tmp_path / "kubeconfig").write_text("apiVersion: v1")
    return tmp_path / "kubeconfig"


def config(kubeconfig: Path, **changes: Any) -> dict[str, str]:
    return config_of(STACK, **{"cloud__kubeconfig": str(kubeconfig), **changes})


def test_both_sides_are_one_stack(serving_stack: Declared, kubeconfig: Path) -> None:
    outputs = declare(config(kubeconfig))
    assert {"catalogue", "cloud_endpoint", "endpoint", "api_key", "ca_certificate", "release"} <= set(outputs)
    assert outputs["catalogue"] == "https://catalogue.example.com:30944"
    assert set(serving_stack.resources["Deployment"]) == {"catalogue", "endpoint"}
    assert set(serving_stack.resources["Playbook"]) == {"preflight", "runtime", "sites"}
    sites = [each["name"] for each in outputs["sites"]]
    assert set(serving_stack.resources["Invitation"]) == {f"site-{site}" for site in sites}


def test_the_catalogue_is_in_a_folder_of_the_stacks_own(serving_stack: Declared, kubeconfig: Path) -> None:
    declare(config(kubeconfig))
    store = "s3://your-releases/sites/s4-cloud-serving-0123456789abcdef"
    assert serving_stack.resources["Publication"]["release"]["store"] == store
    served = json.loads(serving_stack.resources["ConfigMap"]["endpoint"]["data"]["serve.json"])
    assert (served["store"], served["release"]) == (store, RELEASE)
    (invitation, *_) = serving_stack.resources["Invitation"].values()
    assert (invitation["store"], invitation["url"]) == (store, "https://catalogue.example.com:30944")


def test_without_an_endpoint_the_cloud_hands_out_releases_only(
    serving_stack: Declared, kubeconfig: Path
) -> None:
    given = config(kubeconfig)
    del given[f"{PROJECT}:endpoint"]
    outputs = declare(given)
    assert "cloud_endpoint" not in outputs
    assert set(serving_stack.resources["Deployment"]) == {"catalogue"}


def test_pods_start_on_nodes_with_taints_from_private_registries_with_a_runtime_of_their_own(
    serving_stack: Declared, kubeconfig: Path
) -> None:
    told: dict[str, Any] = {
        "cloud__taints": [{"key": "team", "value": "ml"}],
        "cloud__pull_secrets": ["registry"],
    }
    declare(config(kubeconfig, **told, cloud__runtime_class="nvidia", cloud__region="eu-central-1"))
    resources = serving_stack.resources
    pods = [each["spec"]["template"]["spec"] for each in resources["Deployment"].values()]
    pods.append(resources["CronJob"]["rollout"]["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    for pod in pods:
        tolerated = {"key": "team", "effect": "NoSchedule", "operator": "Equal", "value": "ml"}
        assert pod["tolerations"] == [tolerated]
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["runtimeClassName"] == "nvidia"


def test_with_local_first_sites_know_the_way_to_the_endpoint_and_its_key_is_a_secret(
    serving_stack: Declared, kubeconfig: Path
) -> None:
    declare(config(kubeconfig, own__inference={"route": "local-first", "spill_at": 2}))
    sites = serving_stack.resources["Playbook"]["sites"]
    route = {"url": "https://models.example.com:30943/v1", "spill_at": 2}
    assert sites["variables"]["inference_route"] == route
    assert "inference_route_key" in sites["secrets"].get("value", sites["secrets"])
    assert "inference_route_key" not in sites["variables"]


def test_offline_keys_of_ones_own_stay_where_they_are(
    serving_stack: Declared, kubeconfig: Path, tmp_path: Path
) -> None:
    online = tmp_path / "online.pem"
    online.write_text("-----BEGIN PRIVATE KEY-----")
    keys = {
        "kind": "files",
        "root": ["root-1.pem", "kms:arn:aws:kms:x"],
        "releases": str(tmp_path / "releases.pem"),
        "online": str(online),
    }
    declare(config(kubeconfig, own__keys=keys))
    given = serving_stack.resources["Publication"]["release"]["keys"]
    told = given.get("value", given)
    assert told["root"] == [str(ROOT / "root-1.pem"), "kms:arn:aws:kms:x"]
    assert told["releases"] == str(tmp_path / "releases.pem")
    assert set(serving_stack.resources["SigningKey"]) == {"sites"}


def test_an_endpoint_that_scales_grows_before_all_slots_of_its_pods_are_taken(
    serving_stack: Declared, kubeconfig: Path
) -> None:
    declare(config(kubeconfig, own__endpoint={"host": "10.9.0.5", "scaling": {"max_replicas": 4}}))
    spec = serving_stack.resources["ScaledObject"]["endpoint"]["spec"]
    assert [each["metadata"]["targetValue"] for each in spec["triggers"]] == ["1", "12"]  # of 16 slots


def test_an_endpoint_that_sleeps_is_woken_by_sites_through_the_catalogue(
    serving_stack: Declared, kubeconfig: Path
) -> None:
    scaling = {"max_replicas": 4, "idle_seconds": 300}
    declare(
        config(
            kubeconfig,
            own__endpoint={"host": "10.9.0.5", "scaling": scaling, "load_seconds": 500},
            own__inference={"route": "local-first"},
        )
    )
    spec = serving_stack.resources["ScaledObject"]["endpoint"]["spec"]
    assert (
        spec["triggers"][-1]["metadata"]["url"]
        == "http://catalogue-metrics.s4-cloud-serving.svc:9445/metrics"
    )
    route = serving_stack.resources["Playbook"]["sites"]["variables"]["inference_route"]
    assert route["wake"] == {"url": "https://catalogue.example.com:30944/v1/wake", "seconds": 620}


def test_behind_a_gateway_each_service_has_a_route_by_its_name_and_only_proxies_come_in(
    serving_stack: Declared, kubeconfig: Path
) -> None:
    gateway = {"name": "shared", "namespace": "gateways", "proxies": "envoy-gateway-system"}
    where = {"service": "Gateway", "gateway": gateway, "port": 443}
    hosts = {name: f"{name}.example.com" for name in ("catalogue", "endpoint")}
    outputs = declare(config(kubeconfig, **{f"own__{name}": where | {"host": hosts[name]} for name in hosts}))
    assert outputs["cloud_endpoint"] == "https://endpoint.example.com:443/v1"
    for name, host in hosts.items():
        route = serving_stack.resources["TLSRoute"][f"{name}-route"]["spec"]
        assert route["hostnames"] == [host]
        assert route["parentRefs"] == [{"name": "shared", "namespace": "gateways"}]
        assert route["rules"] == [{"backendRefs": [{"name": name, "port": 443}]}]
        assert serving_stack.resources["Service"][name]["spec"]["type"] == "ClusterIP"
        (rule,) = serving_stack.resources["NetworkPolicy"][f"{name}-clients"]["spec"]["ingress"]
        proxies = {"kubernetes.io/metadata.name": "envoy-gateway-system"}
        assert rule["from"] == [{"namespaceSelector": {"matchLabels": proxies}}]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"own__sites": {"rings": {"pilot": ["serve-1"]}}},
            "sites.rings: unknown ring 'pilot'; use one of first, all",
        ),
        (
            {"own__sites": {"rings": {"first": ["nobody"]}}},
            "sites.rings.first: unknown site 'nobody'; the group inference of",
        ),
        (
            {"own__catalogue": {"host": "catalogue.example.com", "port": 9444}},
            "port is 9444, but Kubernetes gives nodes' ports from 30000 to 32767",
        ),
        ({"own__catalogue": {"host": "https://catalogue.example.com"}}, "'catalogue.host' is"),
        ({"own__catalogue": {}}, "catalogue.host is missing; write by which clients reach your cluster"),
        (
            {"own__endpoint": {"host": "10.9.0.5", "scaling": {"max_replicas": 1}}},
            "scaling.max_replicas is 1, but replicas, the least number, is 2",
        ),
        (
            {"own__endpoint": {"host": "10.9.0.5", "scaling": {"max_replicas": 2, "idle_seconds": 300}}},
            "only sites that use it wake it; set inference.route to local-first, or remove idle_seconds",
        ),
        (
            {"own__endpoint": {"host": "10.9.0.5", "service": "Gateway"}},
            "gateway says which one, for service: Gateway; set both, or neither",
        ),
        (
            {
                "own__endpoint": {
                    "host": "10.9.0.5",
                    "service": "Gateway",
                    "gateway": {"name": "shared", "namespace": "gateways"},
                }
            },
            "host is 10.9.0.5, but a Gateway knows services by their names",
        ),
        ({"own__rollout": {"rings": ["first"], "soak": 3}}, "unknown key 'rollout.soak'"),
        (
            {"own__inference": {"route": "local-first"}, "own__endpoint": None},
            "inference.route is local-first, but there is no endpoint; set endpoint",
        ),
        (
            {
                "own__catalogue": {"host": "10.9.0.4"},
                "premises__manageHosts": True,
                "premises__egress": {"admin_networks": ["10.2.0.1"]},
            },
            "sites have to reach the catalogue at 10.9.0.4; add {to: 10.9.0.4, protocol: tcp, ports: [30944]",
        ),
        (
            {
                "own__catalogue": {"host": "10.9.0.4"},
                "own__endpoint": None,
                "premises__manageHosts": True,
                "premises__egress": {
                    "admin_networks": ["10.2.0.1"],
                    "allow": [
                        {"to": "10.9.0.4", "protocol": "tcp", "ports": [30944], "why": "catalogue"},
                        {"to": "8.8.8.8", "protocol": "tcp", "ports": [443], "why": "statistics"},
                    ],
                },
            },
            "allow[1].to is 8.8.8.8: sites exchange data with the stack's own catalogue and endpoint only",
        ),
        ({"cloud__kubeconfig": "/no/such/file"}, "cloud:kubeconfig: /no/such/file: No such file"),
        (
            {"own__keys": {"kind": "files", "root": ["a"], "releases": "b", "online": "/no/key"}},
            "keys.online",
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(
    serving_stack: Declared, kubeconfig: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        declare(config(kubeconfig, **changes))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
