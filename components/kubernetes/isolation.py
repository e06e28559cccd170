"""Network policies of a namespace: all traffic is denied unless listed.

They only take effect if the cluster's network plugin enforces NetworkPolicy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METRICS_PORT = 9400
"""Port of the GPU nodes' telemetry."""


def pods_of(namespace: str) -> dict[str, Any]:
    """Return a rule's peer: all pods of another namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


_DENY_ALL: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A destination outside their namespace that pods may call.

    Attributes:
        name: a word for the policy's name: `bucket`, `pod-identity`.
        cidrs: its addresses, such as those of VPC endpoints; as a whole they may be an output.
        ports: TCP.

    """

    name: str
    cidrs: Sequence[pulumi.Input[str]] | pulumi.Output[Sequence[str]]
    ports: Sequence[int] = (443,)


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """Who answers pods' questions for names: pods of a namespace, or addresses.

    Attributes:
        namespace: of the pods.
        labels: of the pods.
        cidrs: addresses, such as those of a cache on every node; without a namespace.
        port: UDP and TCP: that of the pods, where their service has another.

    """

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    cidrs: Sequence[str] = ()
    port: int = 53

    def peers(self) -> list[dict[str, Any]]:
        """Return a rule's peers."""
        if not self.namespace:
            return _blocks(self.cidrs)
        return [{**pods_of(self.namespace), "podSelector": {"matchLabels": dict(self.labels)}}]


CLUSTER_DNS = Resolver(namespace="kube-system", labels={"k8s-app": "kube-dns"})
"""CoreDNS, as most clusters have it, by the name of what it replaced."""
POD_IDENTITY = Destination(name="pod-identity", cidrs=("169.254.170.23/32",), ports=(80,))
"""Where pods on EKS get their role's credentials. Source:
<https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html>, November 2026."""


def policies(
    destinations: Sequence[Destination], resolvers: Sequence[Resolver] = (CLUSTER_DNS,)
) -> dict[str, dict[str, Any]]:
    """Return the specifications of a namespace's policies by name, starting with the default deny."""
    names = [
        {
            "to": each.peers(),
            "ports": [{"protocol": protocol, "port": each.port} for protocol in ("UDP", "TCP")],
        }
        for each in resolvers
    ]
    return {
        "deny-all": _DENY_ALL,
        "dns": {"podSelector": {}, "policyTypes": ["Egress"], "egress": names},
        **{
            f"to-{each.name}": _egress(
                each.cidrs.apply(_blocks) if isinstance(each.cidrs, pulumi.Output) else _blocks(each.cidrs),
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


def _blocks(cidrs: Sequence[pulumi.Input[str]]) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def _egress(to: pulumi.Input[list[dict[str, Any]]], ports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to, "ports": list(ports)}]}
