"""Network policies of a namespace: all traffic is denied unless listed.

They only take effect if the cluster's network plugin enforces NetworkPolicy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

METRICS_PORT = 9400
"""Port of the GPU nodes' telemetry."""


def pods_of(namespace: str) -> dict[str, Any]:
    """Return a rule's peer: all pods of another namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


_DENY_ALL: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
_DNS = {
    **pods_of("kube-system"),
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A destination outside their namespace that pods may call.

    Attributes:
        name: a word for the policy's name: `bucket`, `pod-identity`.
        cidrs: its addresses, such as those of VPC endpoints.
        ports: TCP.

    """

    name: str
    cidrs: Sequence[pulumi.Input[str]]
    ports: Sequence[int] = (443,)


POD_IDENTITY = Destination(name="pod-identity", cidrs=("169.254.170.23/32",), ports=(80,))
"""Where pods on EKS get their role's credentials. Source:
<https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html>, November 2026."""


def policies(destinations: Sequence[Destination]) -> dict[str, dict[str, Any]]:
    """Return the specifications of a namespace's policies by name, starting with the default deny."""
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "deny-all": _DENY_ALL,
        "dns": _egress([_DNS], names),
        **{
            f"to-{each.name}": _egress(
                [{"ipBlock": {"cidr": cidr}} for cidr in each.cidrs],
                [{"protocol": "TCP", "port": port} for port in each.ports],
            )
            for each in destinations
        },
    }


def telemetry_only() -> dict[str, dict[str, Any]]:
    """Return the policies of the node agents' namespace: only metrics may be scraped."""
    metrics = [{"protocol": "TCP", "port": METRICS_PORT}]
    return {
        "deny-all": _DENY_ALL,
        "metrics": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": metrics}]},
    }


def _egress(to: Sequence[dict[str, Any]], ports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": list(to), "ports": list(ports)}]}
