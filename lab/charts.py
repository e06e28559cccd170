"""Charts as `helm pull` would leave them in a folder, for stacks that install them in the lab.

JobSet's and Kueue's are those of the lab's programs, whole. The Cluster Autoscaler's can be had neither with its
sources nor without the internet: its chart is a **stand-in** that installs a service account and nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.commands import run
from lab.kubernetes.addons import helm
from lab.kubernetes.cluster import binaries

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kubernetes.cluster import OwnCluster

_ACCOUNT = """apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .Values.rbac.serviceAccount.name }}
  namespace: {{ .Release.Namespace }}
"""


def pack(own: OwnCluster, folder: Path, autoscaler: str) -> None:
    """Write them to a folder; `autoscaler` is the version that its stand-in claims. Raises LabError."""
    stand_in = own.layout.data("cluster-autoscaler")
    (stand_in / "templates").mkdir(parents=True, exist_ok=True)
    about = {"apiVersion": "v2", "name": "cluster-autoscaler", "version": autoscaler}
    about["description"] = "the lab's stand-in: a service account, and no autoscaler"
    (stand_in / "Chart.yaml").write_text(json.dumps(about), encoding="utf-8")
    (stand_in / "templates" / "account.yaml").write_text(_ACCOUNT, encoding="utf-8")
    for chart in (binaries("jobset") / "charts", binaries("kueue") / "charts", stand_in):
        run([*helm(own.layout), "package", str(chart), f"--destination={folder}"])
