"""A pod of the model package that serves: its hardened specification, files and environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi

from components.kubernetes.hardening import CONTAINER_SECURITY, POD_SECURITY
from components.kubernetes.placing import Placing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.kubernetes.job_args import SecretKey

_HOSTNAME, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a stack's pods of the model package have in common.

    Attributes:
        namespace: where they run.
        image: the model package's, preferably by digest.
        service_account: provides their cloud identity; its Kubernetes token is not mounted.
        environment: environment variables; not for secrets.
        secret_environment: environment variables with values from Secrets.
        node_labels: labels of the nodes that they run on; empty: any.
        placing: what pods need to start there.

    """

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    service_account: pulumi.Input[str] = "default"
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secret_environment: Mapping[str, SecretKey] = field(default_factory=dict)
    node_labels: Mapping[str, str] = field(default_factory=dict)
    placing: Placing = field(default_factory=Placing)


def pod(
    workload: Workload,
    container: Mapping[str, Any],
    *,
    config_map: pulumi.Input[str],
    secret: pulumi.Input[str],
    scratch: str,
    **more: Any,
) -> dict[str, Any]:
    """Return a pod's specification.

    Args:
        workload: what it has in common with others.
        container: what its only container adds: name, args, ports, probes, resources.
        config_map: mounted at `/config`.
        secret: mounted at `/keys`, readable for the pod's user alone.
        scratch: size of its own disk space, for files that arrive from the store.
        more: further fields of the specification.

    """
    return {
        "serviceAccountName": workload.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "nodeSelector": dict(workload.node_labels),
        "containers": [
            {
                "image": workload.image,
                "env": _environment(workload),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "config", "mountPath": "/config", "readOnly": True},
                    {"name": "keys", "mountPath": "/keys", "readOnly": True},
                    {"name": "scratch", "mountPath": "/scratch"},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 private to the pod
                ],
                **container,
            }
        ],
        "volumes": [
            {"name": "config", "configMap": {"name": config_map}},
            {"name": "keys", "secret": {"secretName": secret, "defaultMode": 0o440}},
            {"name": "scratch", "emptyDir": {"sizeLimit": scratch}},
            {"name": "tmp", "emptyDir": {}},
        ],
        **workload.placing.specification(),
        **more,
    }


def spread(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return constraints that spread pods over nodes and zones, as far as there are some."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(labels)},
        }
        for key in (_HOSTNAME, _ZONE)
    ]


def labels(component: str) -> dict[str, str]:
    """Return the labels of a component's objects."""
    return {"app.kubernetes.io/name": "scenario-model", "app.kubernetes.io/component": component}


def api_keys(sha256: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the file of the endpoint's one hashed key, as the model package reads it."""
    return pulumi.Output.json_dumps({"keys": [{"id": "client", "sha256": sha256}]})


def https_probe(path: str, seconds: int, failures: int = 3) -> dict[str, Any]:
    """Return a probe of the container's port `https`: every so many seconds, until so many failures."""
    return {
        "httpGet": {"path": path, "port": "https", "scheme": "HTTPS"},
        "periodSeconds": seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _environment(workload: Workload) -> list[dict[str, Any]]:
    plain = {"XDG_CACHE_HOME": "/scratch", **workload.environment}
    return [
        *({"name": each, "value": plain[each]} for each in sorted(plain)),
        *(
            {"name": each, "valueFrom": {"secretKeyRef": {"name": key.secret, "key": key.key}}}
            for each, key in sorted(workload.secret_environment.items())
        ),
    ]
