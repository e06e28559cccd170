"""Installs JobSet and Kueue in the cluster, by their own charts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from lab import LabError
from lab.commands import run
from lab.images import reference
from lab.kubernetes import coredns
from lab.kubernetes.cluster import binaries

if TYPE_CHECKING:
    from lab.kubernetes.kubectl import Kubectl
    from lab.kubernetes.layout import Layout

READY_S = 180.0
"""Timeout until everything answers, in seconds; about twenty on an idle machine."""

IMAGES = ("pause", "coredns", "jobset", "kueue")
_SMALL = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "2Gi"}}
_DEPLOYMENTS = {
    "kube-system": "coredns",
    "jobset-system": "jobset-controller",
    "kueue-system": "kueue-controller-manager",
}


def install(layout: Layout, kubectl: Kubectl) -> None:
    """Install CoreDNS and both; returns before they are ready. Raises LabError."""
    kubectl.apply(coredns.objects())
    # In this order: Kueue's webhook refuses all other pods until Kueue itself runs.
    install_chart(layout, kubectl, "jobset", _jobset_values(), "jobset-system")
    install_chart(layout, kubectl, "kueue", _kueue_values(), "kueue-system")


def wait_until_ready(kubectl: Kubectl) -> None:
    """Wait until all are available and both webhooks admit a valid object. Raises LabError."""
    deadline = time.monotonic() + READY_S
    for namespace, name in _DEPLOYMENTS.items():
        left = max(1, round(deadline - time.monotonic()))
        wait = ["--for=condition=Available", f"--namespace={namespace}", f"deployment/{name}"]
        kubectl("wait", *wait, f"--timeout={left}s", timeout_s=left + 10)
    for probe in (_JOB_SET, _FLAVOR):
        while not kubectl.succeeds("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe)):
            if time.monotonic() > deadline:
                raise LabError(
                    f"the webhook for {probe['kind']} does not answer within {READY_S:.0f} s",
                    remedy="make lab-down, then make lab",
                )
            time.sleep(0.3)


def install_chart(
    layout: Layout, kubectl: Kubectl, name: str, values: dict[str, Any], namespace: str
) -> None:
    """Install the chart of a group of programs unchanged, with these values. Raises LabError."""
    file, folder = layout.config(f"{name}-values.json"), layout.data("helm")
    file.write_text(json.dumps(values, indent=1), encoding="utf-8")
    homes = [f"HELM_{each}_HOME={folder}" for each in ("CACHE", "CONFIG", "DATA")]
    command = ["env", *homes, str(binaries("helm") / "helm"), f"--kubeconfig={kubectl.kubeconfig}"]
    command += ["upgrade", "--install", name, str(binaries(name) / "charts"), f"--values={file}"]
    run([*command, f"--namespace={namespace}", "--create-namespace"], timeout_s=120)


def _jobset_values() -> dict[str, Any]:
    repository, _, tag = reference("jobset").rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "controller": {"resources": _SMALL, "leaderElection": {"enable": False}},
    }


def _kueue_values() -> dict[str, Any]:
    repository, _, tag = reference("kueue").rpartition(":")
    manager = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "resources": _SMALL,
    }
    probe = {"initialDelaySeconds": 1, "periodSeconds": 2}
    return {"controllerManager": {"manager": manager, "readinessProbe": probe}}


_FLAVOR: dict[str, Any] = {
    "apiVersion": "kueue.x-k8s.io/v1beta2",
    "kind": "ResourceFlavor",
    "metadata": {"name": "scenario-lab-probe"},
}
_JOB_SET: dict[str, Any] = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {"name": "scenario-lab-probe", "namespace": "default"},
    "spec": {
        "replicatedJobs": [
            {
                "name": "probe",
                "template": {
                    "spec": {
                        "template": {
                            "spec": {
                                "restartPolicy": "Never",
                                "containers": [{"name": "probe", "image": reference("pause")}],
                            }
                        }
                    }
                },
            }
        ]
    },
}
