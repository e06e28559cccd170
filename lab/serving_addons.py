"""KEDA and a Gateway in the lab's cluster, for those who ask: both are built from source, which takes ten minutes.

`python -m lab.serving_addons` adds them to the lab that is up.
"""

from __future__ import annotations

import json
import shutil
import string
import sys
from typing import TYPE_CHECKING, Any

import yaml

from bootstrap.console import run as run_main
from bootstrap.console import say
from lab import LabError, state_folder
from lab.images import image, reference
from lab.kubernetes.addons import install_chart
from lab.kubernetes.cluster import binaries
from lab.kubernetes.lifecycle import running

if TYPE_CHECKING:
    from lab.kubernetes.cluster import Cluster, OwnCluster

GATEWAY = {"name": "shared", "namespace": "gateways", "proxies": "envoy-gateway-system"}
"""The Gateway, as a stack's settings name it."""
PORT = 30945
"""Port of every node at which it listens."""
_READY_S = 240
_KEDA = ("crd", "general", "rbac", "manager", "metrics-server", "service_account")
_IMAGES = ("keda", "keda-adapter", "envoy-gateway", "envoy")


def add(cluster: Cluster) -> None:
    """Install both, and wait until they work. Idempotent.

    Raises LabError for a cluster that is not the lab's own, or if they do not become ready.
    """
    own = cluster.own
    if own is None:
        raise LabError("this cluster was given to the lab", remedy="install KEDA and a Gateway there by hand")
    there = own.ctr("image", "list", "--quiet").split()
    for name in _IMAGES:
        if reference(name) not in there:
            own.load(image(name))
    _keda(own)
    _envoy_gateway(own)


def _keda(own: OwnCluster) -> None:
    """Install KEDA by its own manifests, without the webhooks that check objects of users."""
    folder = own.layout.data("keda")
    shutil.copytree(binaries("keda") / "charts", folder / "config", dirs_exist_ok=True)
    upstream = {"keda": "keda", "keda-metrics-apiserver": "keda-adapter"}
    images = []
    for theirs, ours in upstream.items():
        name, _, tag = reference(ours).rpartition(":")
        images.append({"name": f"ghcr.io/kedacore/{theirs}", "newName": name, "newTag": tag})
    from_here = {
        "op": "replace",
        "path": "/spec/template/spec/containers/0/imagePullPolicy",
        "value": "IfNotPresent",
    }
    wanted = {
        "resources": [f"config/{each}" for each in _KEDA],
        "images": images,
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps([from_here])}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(wanted), encoding="utf-8")
    kubectl = own.kubectl
    kubectl("apply", "--server-side", "--force-conflicts", "--kustomize", str(folder))
    for name in ("keda-operator", "keda-metrics-apiserver"):
        _wait(own, "Available", f"deployment/{name}", "keda")
    kubectl(
        *("wait", "--for=condition=Available", "apiservice/v1beta1.external.metrics.k8s.io"),
        f"--timeout={_READY_S}s",
        timeout_s=_READY_S + 10,
    )


def _envoy_gateway(own: OwnCluster) -> None:
    """Install Envoy Gateway by its own chart, and one Gateway that passes TLS through."""
    template = (binaries("envoy-gateway") / "charts" / "values.tmpl.yaml").read_text(encoding="utf-8")
    told = {"GatewayImage": reference("envoy-gateway"), "GatewayImagePullPolicy": "IfNotPresent"}
    values = yaml.safe_load(string.Template(template).safe_substitute(told))
    values["config"]["envoyGateway"]["provider"]["kubernetes"] = {
        "shutdownManager": {"image": reference("envoy-gateway")}
    }
    proxies = GATEWAY["proxies"]
    install_chart(own.layout, own.kubectl, "envoy-gateway", values, proxies)
    _wait(own, "Available", "deployment/envoy-gateway", proxies)
    own.kubectl.apply(_gateway())
    _wait(own, "Programmed", f"gateway/{GATEWAY['name']}", GATEWAY["namespace"])


def _wait(own: OwnCluster, condition: str, what: str, namespace: str) -> None:
    command = ["wait", f"--for=condition={condition}", f"--namespace={namespace}", what]
    own.kubectl(*command, f"--timeout={_READY_S}s", timeout_s=_READY_S + 10)


def _gateway() -> list[dict[str, Any]]:
    api, name = "gateway.networking.k8s.io/v1", GATEWAY["name"]
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    port = {"ports": [{"port": 443, "nodePort": PORT}]}
    service = {"type": "NodePort", "patch": {"type": "StrategicMerge", "value": {"spec": port}}}
    pods = {"container": {"image": reference("envoy"), "resources": small}}
    kubernetes = {"envoyService": service, "envoyDeployment": pods}
    where = {"name": name, "namespace": GATEWAY["proxies"]}
    listener = {
        "name": "tls",
        "port": 443,
        "protocol": "TLS",
        "tls": {"mode": "Passthrough"},
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAY["namespace"]}},
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": where,
            "spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
        },
        {
            "apiVersion": api,
            "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {
                "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
                "parametersRef": {
                    "group": "gateway.envoyproxy.io",
                    "kind": "EnvoyProxy",
                    **where,
                },
            },
        },
        {
            "apiVersion": api,
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": GATEWAY["namespace"]},
            "spec": {"gatewayClassName": name, "listeners": [listener]},
        },
    ]


def main() -> None:
    """Add both to the lab that is up."""
    try:
        add(running(state_folder()))
    except LabError as error:
        sys.exit(f"lab.serving_addons: {error}")
    say(f"KEDA, and the Gateway {GATEWAY['name']} in {GATEWAY['namespace']} at port {PORT} of the node")


if __name__ == "__main__":
    run_main(main)
