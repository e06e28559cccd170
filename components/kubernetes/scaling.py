"""Scaling by load: KEDA changes the number of a Deployment's pods by what they say of their requests.

The trigger is KEDA's `metrics-api`, which reads each pod's metrics itself: no Prometheus is needed. Source:
pkg/scalers/metrics_api_scaler.go of KEDA 2.21, where a service's ready pods are added up. A Deployment without pods has
no metrics: then the catalogue's say whether a site wants it, and KEDA passes over triggers that fail
(pkg/scaling/executor/scale_scaledobjects.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.isolation import pods_of

if TYPE_CHECKING:
    from collections.abc import Mapping

API, KIND = "keda.sh/v1alpha1", "ScaledObject"
_POLL_SECONDS = 10
_RUNNING, _WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
_WANTED = "catalogue_endpoint_wanted"


@dataclass(frozen=True, kw_only=True)
class Sleep:
    """When a Deployment has no pods.

    Attributes:
        after_seconds: without a request.
        wanted: URL of the catalogue's metrics, which say whether somebody wants it.

    """

    after_seconds: int
    wanted: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How many pods there are. The larger of the triggers' wishes counts.

    Attributes:
        most: the largest number of pods; the least is the Deployment's own.
        waiting: requests that may wait, per pod.
        running: requests that may be computed at once, per pod, before there is another one.
        namespace: where KEDA runs, which reads the pods' metrics.
        sleep: when there are none at all; None: never.

    """

    most: int
    waiting: int
    running: int
    namespace: str
    sleep: Sleep | None = None


def metrics_for_scaler(
    metadata: Mapping[str, Any],
    pods: Mapping[str, str],
    port: int,
    scaler: str,
    opts: pulumi.ResourceOptions,
    selector: Mapping[str, pulumi.Input[str]] | None = None,
) -> pulumi.Output[str]:
    """Declare that KEDA, in the namespace `scaler`, may read these pods' metrics; return their URL.

    `metadata`: of what is declared, with its name and namespace. `selector`: which of the pods it reads; None: all.
    """
    name = metadata["name"]
    k8s.networking.v1.NetworkPolicy(
        name,
        metadata=dict(metadata),
        spec={
            "podSelector": {"matchLabels": dict(pods)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [pods_of(scaler)], "ports": [{"protocol": "TCP", "port": port}]}],
        },
        opts=opts,
    )
    named = {"name": "metrics", "port": port, "targetPort": port}
    k8s.core.v1.Service(
        name,
        metadata=dict(metadata),
        spec={"clusterIP": "None", "selector": dict(selector or pods), "ports": [named]},
        opts=opts,
    )
    # KEDA splits it at its points, and without `.svc` would take the port for a part of the namespace.
    return pulumi.Output.concat("http://", name, ".", metadata["namespace"], f".svc:{port}/metrics")


def scaled_object(
    deployment: pulumi.Input[str], least: int, scaling: Scaling, url: pulumi.Input[str]
) -> dict[str, Any]:
    """Return the specification of the ScaledObject.

    `url`: of the pods' metrics.
    """
    triggers = [_trigger(url, _WAITING, scaling.waiting), _trigger(url, _RUNNING, scaling.running)]
    asleep: dict[str, Any] = {}
    if sleep := scaling.sleep:
        # Replicas of the catalogue are asked by different sites: one wish is enough, and two ask for no second pod.
        triggers.append(_trigger(sleep.wanted, _WANTED, 1, "max"))
        asleep = {
            "idleReplicaCount": 0,
            "cooldownPeriod": sleep.after_seconds,
            "initialCooldownPeriod": sleep.after_seconds,
        }
    return {
        "scaleTargetRef": {"name": deployment},
        "minReplicaCount": least,
        "maxReplicaCount": scaling.most,
        "pollingInterval": _POLL_SECONDS,
        "triggers": triggers,
        **asleep,
    }


def _trigger(url: pulumi.Input[str], metric: str, per_pod: int, over_pods: str = "sum") -> dict[str, Any]:
    metadata = {
        "url": url,
        "format": "prometheus",
        "valueLocation": metric,
        "targetValue": str(per_pod),
        "aggregateFromKubeServiceEndpoints": "true",
        "aggregationType": over_pods,
    }
    return {"type": "metrics-api", "metricType": "AverageValue", "metadata": metadata}
