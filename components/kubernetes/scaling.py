"""Scaling by load: KEDA changes the number of a Deployment's pods by what they say of their requests.

The trigger is KEDA's `metrics-api`, which reads each pod's metrics itself: no Prometheus is needed. Source:
pkg/scalers/metrics_api_scaler.go of KEDA 2.21, where a service's ready pods are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.kubernetes.isolation import pods_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

API, KIND = "keda.sh/v1alpha1", "ScaledObject"
_POLL_SECONDS = 10
_RUNNING, _WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How many pods there are. The larger of both triggers' wishes counts.

    Attributes:
        most: the largest number of pods; the least is the Deployment's own.
        waiting: requests that may wait, per pod.
        running: requests that may be computed at once, per pod, before there is another one.
        namespace: where KEDA runs, which reads the pods' metrics.

    """

    most: int
    waiting: int
    running: int
    namespace: str


def metrics_service(selector: Mapping[str, pulumi.Input[str]], port: int) -> dict[str, Any]:
    """Return the specification of the service by which KEDA finds the pods; it has no address of its own."""
    named = {"name": "metrics", "port": port, "targetPort": port}
    return {"clusterIP": "None", "selector": dict(selector), "ports": [named]}


def admission(selector: Mapping[str, str], port: int, scaling: Scaling) -> dict[str, Any]:
    """Return the specification of a network policy that lets KEDA in, to this port of the pods."""
    return {
        "podSelector": {"matchLabels": dict(selector)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [pods_of(scaling.namespace)], "ports": [{"protocol": "TCP", "port": port}]}],
    }


def scaled_object(
    deployment: pulumi.Input[str], least: int, scaling: Scaling, url: pulumi.Input[str]
) -> dict[str, Any]:
    """Return the specification of the ScaledObject.

    `url`: of the metrics service, `http://SERVICE.NAMESPACE.svc:PORT/…`. KEDA splits it at its points, and would take a
    port for a part of the namespace.
    """

    def trigger(metric: str, per_pod: int) -> dict[str, Any]:
        metadata = {
            "url": url,
            "format": "prometheus",
            "valueLocation": metric,
            "targetValue": str(per_pod),
            "aggregateFromKubeServiceEndpoints": "true",
            "aggregationType": "sum",
        }
        return {"type": "metrics-api", "metricType": "AverageValue", "metadata": metadata}

    return {
        "scaleTargetRef": {"name": deployment},
        "minReplicaCount": least,
        "maxReplicaCount": scaling.most,
        "pollingInterval": _POLL_SECONDS,
        "triggers": [trigger(_WAITING, scaling.waiting), trigger(_RUNNING, scaling.running)],
    }
