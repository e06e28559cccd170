"""What a cluster of one's own may ask of every pod: tolerations, credentials of registries, a runtime class, a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.kubernetes.hardening import ANY_USER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Placing:
    """What pods need to start on some nodes.

    Attributes:
        taints: `{key, value, effect}` of the nodes, which the pods tolerate.
        pull_secrets: Secrets in the pods' namespace with credentials of registries.
        runtime_class: of the nodes' GPUs, such as `nvidia` on k3s and RKE2; empty: the cluster's default.
        own_user: whether pods run as the image's user; otherwise the cluster gives them one.

    """

    taints: Sequence[Mapping[str, str]] = ()
    pull_secrets: Sequence[str] = ()
    runtime_class: str = ""
    own_user: bool = True

    def specification(self) -> dict[str, Any]:
        """Return the fields of a pod's specification: only those that say something."""
        told = {
            "tolerations": [toleration(each) for each in self.taints],
            "imagePullSecrets": [{"name": each} for each in self.pull_secrets],
            "runtimeClassName": self.runtime_class,
            "securityContext": {} if self.own_user else ANY_USER,
        }
        return {name: value for name, value in told.items() if value}


def toleration(taint: Mapping[str, str]) -> dict[str, str]:
    """Return what tolerates a taint: of any value, if it has none."""
    same = {"operator": "Equal", "value": taint["value"]} if taint.get("value") else {"operator": "Exists"}
    return {"key": taint["key"], "effect": taint["effect"], **same}
