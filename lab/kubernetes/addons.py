"""Installs JobSet and Kueue in the cluster, by their own charts.

`$LAB_QUEUEING=none` leaves both out of a new cluster, for stacks that install them.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from lab import LabError
from lab.commands import run
from lab.images import reference
from lab.kubernetes import coredns
from lab.kubernetes.cluster import binaries

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kubernetes.kubectl import Kubectl
    from lab.kubernetes.layout import Layout

READY_S = 180.0
"""Timeout until everything answers, in seconds; about twenty on an idle machine."""

IMAGES = ("pause", "coredns", "jobset", "kueue")
_SMALL = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "2Gi"}}
_DEPLOYMENTS = {"coredns": "kube-system"}
_QUEUEING = {"jobset-controller": "jobset-system", "kueue-controller-manager": "kueue-system"}


def queueing() -> bool:
    """Whether a new cluster gets JobSet and Kueue. Raises LabError for an unknown `$LAB_QUEUEING`."""
    asked = os.environ.get("LAB_QUEUEING", "")
    if asked not in {"", "none"}:
        raise LabError(f"unknown LAB_QUEUEING={asked}", remedy='set it to "none", or leave it empty')
    return not asked


def install(layout: Layout, kubectl: Kubectl) -> None:
    """Install CoreDNS and, if wanted, both; returns before they are ready. Raises LabError."""
    kubectl.apply(coredns.objects())
    if not queueing():
        return
    # In this order: Kueue's webhook refuses all other pods until Kueue itself runs.
    install_chart(layout, kubectl, "jobset", _jobset_values(), "jobset-system")
    install_chart(layout, kubectl, "kueue", _kueue_values(), "kueue-system")


def wait_until_ready(layout: Layout, kubectl: Kubectl) -> None:
    """Wait until all that was installed is available and both webhooks admit a valid object. Raises LabError."""
    deadline = time.monotonic() + READY_S
    installed = _values(layout, "kueue").exists()
    for name, namespace in (_DEPLOYMENTS | (_QUEUEING if installed else {})).items():
        left = max(1, round(deadline - time.monotonic()))
        wait = ["--for=condition=Available", f"--namespace={namespace}", f"deployment/{name}"]
        kubectl("wait", *wait, f"--timeout={left}s", timeout_s=left + 10)
    for probe in (_JOB_SET, _FLAVOR) if installed else ():
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
    file = _values(layout, name)
    file.write_text(json.dumps(values, indent=1), encoding="utf-8")
    command = [*helm(layout), f"--kubeconfig={kubectl.kubeconfig}"]
    command += ["upgrade", "--install", name, str(binaries(name) / "charts"), f"--values={file}"]
    run([*command, f"--namespace={namespace}", "--create-namespace"], timeout_s=120)


def helm(layout: Layout) -> list[str]:
    """Return how to run Helm with its files in the lab."""
    homes = [f"HELM_{each}_HOME={layout.data('helm')}" for each in ("CACHE", "CONFIG", "DATA")]
    return ["env", *homes, str(binaries("helm") / "helm")]


def _values(layout: Layout, name: str) -> Path:
    """Return the file with the values of an installed chart."""
    return layout.config(f"{name}-values.json")


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
