"""Pods that run this test's own Python: the node's files, read-only, in an image that has none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lab.images import reference

_SYSTEM = ("/usr", "/bin", "/lib", "/lib64")


def pod_spec(code: str, *, cpu: str = "10m", **environment: str) -> dict[str, Any]:
    """A pod's specification whose one container runs `python -c code`, with torch at hand."""
    homes = {sys.prefix, sys.base_prefix, *(each for each in _SYSTEM if Path(each).is_dir())}
    folders = [each for each in sorted(homes) if each == "/usr" or not each.startswith("/usr/")]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "python",
                "image": reference("pause"),
                "imagePullPolicy": "IfNotPresent",
                "command": [f"{sys.prefix}/bin/python", "-u", "-c", code],
                "env": [{"name": name, "value": value} for name, value in environment.items()],
                "resources": {"requests": {"cpu": cpu}},
                "volumeMounts": [
                    {"name": f"folder-{number}", "mountPath": folder, "readOnly": True}
                    for number, folder in enumerate(folders)
                ],
            }
        ],
        "volumes": [
            {"name": f"folder-{number}", "hostPath": {"path": folder}}
            for number, folder in enumerate(folders)
        ],
    }


def pod(name: str, code: str, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": pod_spec(code),
    }
