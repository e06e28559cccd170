"""A hosted endpoint in a cluster: gateway and engine, a Deployment per release, which follow each other blue/green."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes import scaling
from components.kubernetes.exposure import Exposure, expose
from components.kubernetes.job_args import GPU
from components.kubernetes.workload import Workload, api_keys, https_probe, labels, pod, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.kubernetes.scaling import Scaling

PORT = 8443
"""Port of the gateway in its pod."""
METRICS_PORT = 9445
_NAME = "endpoint"
_REVISION = "scenario/revision"
_DIGITS = 10
# Until balancers know that a pod leaves: it still takes what they send.
_LEAVE_SECONDS = 5
_END_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class EndpointSize:
    """Requests of one pod, in Kubernetes' quantities.

    Attributes:
        cpu: processors; it may use more if available.
        memory: its memory limit.
        gpus: NVIDIA GPUs.
        scratch: the node's disk space for the release and compiled code.

    """

    cpu: str
    memory: str
    gpus: int = 0
    scratch: str = "20Gi"

    def resources(self) -> dict[str, Any]:
        """Return the container's requests and limits."""
        devices = {GPU: str(self.gpus)} if self.gpus else {}
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory, **devices},
            "limits": {"memory": self.memory, **devices},
        }


@dataclass(frozen=True, kw_only=True)
class ServingEndpointArgs:
    """Inputs of an endpoint.

    Attributes:
        workload: what its pods have in common with others of the stack.
        store: the bucket that holds the release, `s3://…`.
        release: `name@sha256:…`.
        verification_key: the public key that verifies it, PEM.
        serving: settings of the server, as `scenario-model serve` takes them; port and host are the pod's own.
        drain_seconds: how long a pod that leaves may take to finish its answers: as long as the longest stream.
        certificate: of the gateway, PEM.
        private_key: its key, PEM, a secret.
        api_key_sha256: the client's key, hashed.
        size: each pod's requests.
        replicas: number of pods; with scaling, the least one, with which each release begins.
        scaling: more of them under load, by KEDA; None: no more.
        load_seconds: how long a pod may take until it answers.
        exposure: how clients reach it.

    """

    workload: Workload
    store: pulumi.Input[str]
    release: pulumi.Input[str]
    verification_key: pulumi.Input[str]
    serving: Mapping[str, Any]
    drain_seconds: float
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    api_key_sha256: pulumi.Input[str]
    size: EndpointSize
    replicas: int
    load_seconds: int
    exposure: Exposure
    scaling: Scaling | None = None


class ServingEndpoint(pulumi.ComponentResource):
    """The endpoint of one release.

    A new release is a new Deployment, which has to be ready before the service leads to it; the former one is removed
    after that, and finishes its answers.

    Attributes:
        revision: the digest of release, settings and credentials that the Deployment is named after.

    """

    revision: pulumi.Output[str]

    def __init__(
        self, name: str, args: ServingEndpointArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the endpoint."""
        super().__init__("scenario:kubernetes:ServingEndpoint", name, {}, opts)
        self._own, self._namespace = pulumi.ResourceOptions(parent=self), args.workload.namespace
        config, keys = _files(args)
        spec = pulumi.Output.json_dumps([config, keys, _described(args)], sort_keys=True)
        # A digest of random keys tells nothing about them.
        self.revision = pulumi.Output.unsecret(
            spec.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:_DIGITS])
        )
        named = pulumi.Output.concat(f"{_NAME}-", self.revision)
        before: list[pulumi.Resource] = [
            k8s.core.v1.ConfigMap(
                _NAME, metadata=self._named(named), data=config, immutable=True, opts=self._own
            ),
            k8s.core.v1.Secret(
                _NAME, metadata=self._named(named), string_data=keys, immutable=True, opts=self._own
            ),
        ]
        pods = self._deployment(args, named, before)
        selector: dict[str, pulumi.Input[str]] = {**labels(_NAME), _REVISION: self.revision}
        ready = pulumi.ResourceOptions(parent=self, depends_on=[pods])
        expose(_NAME, args.exposure, self._namespace, selector, PORT, ready)
        k8s.policy.v1.PodDisruptionBudget(
            _NAME,
            metadata=self._named(_NAME),
            spec={"maxUnavailable": 1, "selector": {"matchLabels": labels(_NAME)}},
            opts=self._own,
        )
        if args.scaling:
            self._scale(args.scaling, args.replicas, named, selector, pods)
        self.register_outputs({"revision": self.revision})

    def _named(self, name: pulumi.Input[str], **more: Any) -> dict[str, Any]:
        return {"name": name, "namespace": self._namespace, "labels": labels(_NAME), **more}

    def _scale(
        self,
        wanted: Scaling,
        least: int,
        deployment: pulumi.Output[str],
        selector: Mapping[str, pulumi.Input[str]],
        pods: pulumi.Resource,
    ) -> None:
        url = scaling.metrics_for_scaler(
            self._named(f"{_NAME}-metrics"),
            labels(_NAME),
            METRICS_PORT,
            wanted.namespace,
            self._own,
            selector,
        )
        k8s.apiextensions.CustomResource(
            _NAME,
            api_version=scaling.API,
            kind=scaling.KIND,
            metadata=self._named(_NAME),
            spec=scaling.scaled_object(deployment, least, wanted, url),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[pods]),
        )

    def _deployment(
        self, args: ServingEndpointArgs, named: pulumi.Output[str], before: list[pulumi.Resource]
    ) -> pulumi.Resource:
        selector = {**labels(_NAME), _REVISION: self.revision}
        container = {
            "name": "server",
            "args": ["serve", "--config", "/config/serve.json"],
            "ports": [
                {"name": "https", "containerPort": PORT},
                {"name": "metrics", "containerPort": METRICS_PORT},
            ],
            # Ready: a token was really produced.
            "startupProbe": https_probe("/readyz", 5, -(-args.load_seconds // 5)),
            "readinessProbe": https_probe("/readyz", 5),
            "livenessProbe": https_probe("/healthz", 10, 6),
            "lifecycle": {"preStop": {"sleep": {"seconds": _LEAVE_SECONDS}}},
            "resources": args.size.resources(),
        }
        spec = pod(
            args.workload,
            container,
            config_map=named,
            secret=named,
            scratch=args.size.scratch,
            terminationGracePeriodSeconds=int(args.drain_seconds) + _LEAVE_SECONDS + _END_SECONDS,
            topologySpreadConstraints=spread(labels(_NAME)),
        )
        return k8s.apps.v1.Deployment(
            _NAME,
            metadata=self._named(named),
            spec={
                "replicas": args.replicas,
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "progressDeadlineSeconds": args.load_seconds + 60,
                "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": selector}, "spec": spec},
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=before,
                # KEDA's from then on.
                ignore_changes=["spec.replicas"] if args.scaling else None,
                custom_timeouts=pulumi.CustomTimeouts(create=f"{args.load_seconds + 120}s"),
            ),
        )


def _files(
    args: ServingEndpointArgs,
) -> tuple[dict[str, pulumi.Input[str]], dict[str, pulumi.Input[str]]]:
    """Return the files below `/config` and, secret, below `/keys`."""
    settings: dict[str, Any] = {
        **args.serving,
        "host": "0.0.0.0",  # noqa: S104 in its pod
        "port": PORT,
        "metrics": {"host": "0.0.0.0", "port": METRICS_PORT},  # noqa: S104 closed by the network policy
        "drain_seconds": args.drain_seconds,
        "store": args.store,
        "release": args.release,
        "name": pulumi.Output.from_input(args.release).apply(lambda text: text.partition("@")[0]),
        "verification_key": "/config/verification.pem",
        "tls": {"certificate": "/keys/server.pem", "private_key": "/keys/server.key"},
        "api_keys": "/config/api_keys.json",
        "cache": "/scratch/compiled",
    }
    config = {
        "serve.json": pulumi.Output.json_dumps(settings, sort_keys=True),
        "api_keys.json": api_keys(args.api_key_sha256),
        "verification.pem": args.verification_key,
    }
    return config, {"server.pem": args.certificate, "server.key": args.private_key}


def _described(args: ServingEndpointArgs) -> dict[str, Any]:
    """Return what a Deployment cannot change under its name, for its digest."""
    # One that sleeps when it shall no longer do so would be woken by nobody.
    sleeps = {"sleeps": True} if args.scaling and args.scaling.sleep else {}
    return {
        **sleeps,
        "image": args.workload.image,
        "environment": dict(args.workload.environment),
        "size": args.size.resources(),
    }
