"""The release catalogue in a cluster: its web server, which sites visit, and the rollout's step every minute."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.exposure import Exposure, expose
from components.kubernetes.scaling import metrics_for_scaler
from components.kubernetes.workload import Workload, api_keys, https_probe, labels, pod, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

PORT = 9444
"""Port of the web server in its pod."""
_METRICS_PORT = 9445
_NAME = "catalogue"
_STEP = "rollout"
_REPLICAS = 2
# A download that is cut off goes on where it was; a site's poll takes milliseconds.
_DRAIN_SECONDS = 15
_STEP_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Waking:
    """Sites may have the hosted endpoint started.

    Attributes:
        api_key_sha256: the endpoint's key, hashed: who has it may.
        scaler: where KEDA runs, which reads whether somebody does.

    """

    api_key_sha256: pulumi.Input[str]
    scaler: str


@dataclass(frozen=True, kw_only=True)
class ReleaseCatalogueArgs:
    """Inputs of a catalogue.

    Attributes:
        workload: what its pods have in common with others of the stack.
        store: the bucket that holds it, `s3://…`.
        name: the name of the releases that are rolled out.
        certificate: of the web server, PEM, with all names by which sites reach it.
        private_key: its key, PEM, a secret.
        sites_key: the key that signs sites' certificates, PEM, a secret.
        online_key: the rollout's key, PEM, a secret.
        verification_key: the public key that verifies releases, PEM.
        rollout: settings of the rollout, as `scenario-model rollout step` takes them.
        exposure: how sites reach it.
        waking: of the hosted endpoint; None: it does not sleep.

    """

    workload: Workload
    store: pulumi.Input[str]
    name: pulumi.Input[str]
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    sites_key: pulumi.Input[str]
    online_key: pulumi.Input[str]
    verification_key: pulumi.Input[str]
    rollout: Mapping[str, Any]
    exposure: Exposure
    waking: Waking | None = None


class ReleaseCatalogue(pulumi.ComponentResource):
    """Two web servers over one bucket, and a CronJob; nothing in the cluster is lost with them.

    Whoever reads the Secrets of the web server's pods cannot move a ring: the rollout's key is in a Secret of its own.

    Attributes:
        wanted: URL of the metrics that say whether a site wants the hosted endpoint; None if it does not sleep.

    """

    wanted: pulumi.Output[str] | None = None

    def __init__(
        self, name: str, args: ReleaseCatalogueArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the catalogue."""
        super().__init__("scenario:kubernetes:ReleaseCatalogue", name, {}, opts)
        self._own = pulumi.ResourceOptions(parent=self)
        self._namespace = args.workload.namespace
        config = {
            "rollout.json": pulumi.Output.json_dumps(args.rollout, sort_keys=True),
            "verification.pem": args.verification_key,
        }
        if args.waking:
            config["wake_keys.json"] = api_keys(args.waking.api_key_sha256)
            self.wanted = metrics_for_scaler(
                self._named(f"{_NAME}-metrics"),
                labels(_NAME),
                _METRICS_PORT,
                args.waking.scaler,
                self._own,
            )
        web = {"server.pem": args.certificate, "server.key": args.private_key, "sites.key": args.sites_key}
        k8s.core.v1.ConfigMap(_NAME, metadata=self._named(_NAME), data=config, opts=self._own)
        k8s.core.v1.Secret(_NAME, metadata=self._named(_NAME), string_data=web, opts=self._own)
        k8s.core.v1.Secret(
            _STEP, metadata=self._named(_STEP), string_data={"online.pem": args.online_key}, opts=self._own
        )
        self._web(args, pulumi.Output.json_dumps([config, web], sort_keys=True))
        expose(_NAME, args.exposure, self._namespace, labels(_NAME), PORT, self._own)
        self._step(args)
        self.register_outputs({})

    def _named(self, name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "namespace": self._namespace, "labels": labels(name), **more}

    def _web(self, args: ReleaseCatalogueArgs, files: pulumi.Output[str]) -> None:
        container = {
            "name": _NAME,
            "args": [
                *("catalogue", "serve", "--store", args.store, "--host", "0.0.0.0"),  # noqa: S104 in its pod
                *("--port", str(PORT), "--metrics-port", str(_METRICS_PORT)),
                *("--certificate", "/keys/server.pem", "--private-key", "/keys/server.key"),
                *("--sites-key", "/keys/sites.key"),
                *(("--wake-keys", "/config/wake_keys.json") if args.waking else ()),
            ],
            "ports": [
                {"name": "https", "containerPort": PORT},
                {"name": "metrics", "containerPort": _METRICS_PORT},
            ],
            "readinessProbe": https_probe("/readyz", 10),
            "livenessProbe": https_probe("/healthz", 30),
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": {"memory": "512Mi"},
            },
        }
        spec = pod(
            args.workload,
            container,
            config_map=_NAME,
            secret=_NAME,
            scratch="1Gi",
            terminationGracePeriodSeconds=_DRAIN_SECONDS,
            topologySpreadConstraints=spread(labels(_NAME)),
        )
        # Changed files start new pods, one after the other.
        digest = pulumi.Output.unsecret(files.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()))
        k8s.apps.v1.Deployment(
            _NAME,
            metadata=self._named(_NAME),
            spec={
                "replicas": _REPLICAS,
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "selector": {"matchLabels": labels(_NAME)},
                "template": {
                    "metadata": {"labels": labels(_NAME), "annotations": {"scenario/files": digest}},
                    "spec": spec,
                },
            },
            opts=self._own,
        )
        k8s.policy.v1.PodDisruptionBudget(
            _NAME,
            metadata=self._named(_NAME),
            spec={"maxUnavailable": 1, "selector": {"matchLabels": labels(_NAME)}},
            opts=self._own,
        )

    def _step(self, args: ReleaseCatalogueArgs) -> None:
        container = {
            "name": _STEP,
            "args": [
                *("rollout", "step", args.name, "--store", args.store, "--json"),
                *("--config", "/config/rollout.json", "--online-key", "/keys/online.pem"),
                *("--release-public-key", "/config/verification.pem"),
            ],
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": {"memory": "1Gi"},
            },
        }
        spec = pod(
            args.workload, container, config_map=_NAME, secret=_STEP, scratch="1Gi", restartPolicy="Never"
        )
        job = {
            "backoffLimit": 0,  # the next minute's step does the same
            "activeDeadlineSeconds": _STEP_SECONDS,
            "template": {"metadata": {"labels": labels(_STEP)}, "spec": spec},
        }
        k8s.batch.v1.CronJob(
            _STEP,
            metadata=self._named(_STEP),
            spec={
                "schedule": "* * * * *",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 60,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"spec": job},
            },
            opts=self._own,
        )
