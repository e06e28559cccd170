"""An external cluster, used instead of the lab's own and never changed.

Only if set explicitly: KUBECONFIG may point at a production cluster.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.console import say
from lab import LabError
from lab.kubernetes.cluster import Cluster, binaries
from lab.kubernetes.kubectl import Kubectl
from lab.kubernetes.layout import Layout
from lab.machine import give_to_caller

if TYPE_CHECKING:
    from lab.side import Side

_NEEDED = {"JobSet": "jobsets.jobset.x-k8s.io", "Kueue": "clusterqueues.kueue.x-k8s.io"}
"""What scenarios need, by a resource that shows whether it is installed."""


def named() -> str:
    """Return the kubeconfig in `$LAB_KUBECONFIG`; empty for the lab's own cluster."""
    return os.environ.get("LAB_KUBECONFIG", "")


def take(side: Side) -> Cluster:
    """Keep a private copy of the kubeconfig's current context, so that a later switch has no effect.

    Nothing is installed in the cluster. Raises LabError if it does not answer.
    """
    source = Path(named()).expanduser()
    if not source.is_file():
        raise LabError(f"LAB_KUBECONFIG={source}: no such file")
    asked = Kubectl(_program(), source.resolve())
    alone = asked("config", "view", "--raw", "--minify", "--flatten")
    context = asked("config", "current-context").strip()
    side.home.mkdir(parents=True, exist_ok=True)
    kubeconfig = Layout(side).kubeconfig
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(alone, encoding="utf-8")
    kubectl = Kubectl(asked.program, kubeconfig)
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=10s")
    except LabError as error:
        shutil.rmtree(side.home)
        raise LabError(f"LAB_KUBECONFIG={source}: context {context} does not answer: {error}") from None
    _mark(side).touch()
    give_to_caller(side.home, kubeconfig)
    say(f"using the cluster of context {context} unchanged: nothing is installed or removed")
    missing = [name for name, crd in _NEEDED.items() if not kubectl.succeeds("get", "crd", crd)]
    if missing:
        say(f"  it lacks {' and '.join(missing)}: install that for scenarios that queue jobs")
    return Cluster(kubectl)


def kept(side: Side) -> Cluster | None:
    """Return the external cluster of an earlier run, if any."""
    return Cluster(Kubectl(_program(), Layout(side).kubeconfig)) if _mark(side).exists() else None


def _mark(side: Side) -> Path:
    return side.home / "given"


def _program() -> Path:
    found = shutil.which("kubectl")
    return Path(found) if found else binaries("kubernetes") / "kubectl"
