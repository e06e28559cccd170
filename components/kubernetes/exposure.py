"""How clients outside the cluster reach pods: by nodes' ports, a load balancer, or a Gateway that passes TLS through.

A route is a TLSRoute, <https://gateway-api.sigs.k8s.io/api-types/tlsroute/>: the Gateway sees the name that a client
asks for, and neither prompts nor certificates of sites.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.isolation import pods_of
from components.kubernetes.workload import labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class GatewayListener:
    """A Gateway of the cluster with a listener for TLS in mode Passthrough.

    Attributes:
        name: of the Gateway.
        namespace: of the Gateway; has to allow routes of the stack's namespace.
        listener: which one of its listeners; empty: whichever fits.
        proxies: the namespace of the pods that do its work.

    """

    name: str
    namespace: str
    listener: str
    proxies: str


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How clients outside the cluster reach a service; TLS is passed through to its pods.

    Attributes:
        service: `NodePort` on this port of every node, `LoadBalancer`, or `Gateway`.
        port: a node port has to be within the cluster's range, usually 30000-32767.
        annotations: for the load balancer's controller.
        clients: networks that may reach it; empty: all.
        host: the name that clients ask a Gateway for.
        gateway: where `service` is `Gateway`.

    """

    service: Literal["NodePort", "LoadBalancer", "Gateway"]
    port: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    clients: Sequence[str] = ()
    host: str = ""
    gateway: GatewayListener | None = None

    def specification(self, selector: Mapping[str, pulumi.Input[str]], target: str) -> dict[str, Any]:
        """Return the specification of a service that leads to the port `target` of the selected pods."""
        port: dict[str, Any] = {"name": target, "port": self.port, "targetPort": target}
        if self.service == "NodePort":
            port["nodePort"] = self.port
        kind = "ClusterIP" if self.gateway else self.service
        return {"type": kind, "selector": dict(selector), "ports": [port]}

    def admission(self, selector: Mapping[str, str], port: int) -> dict[str, Any]:
        """Return the specification of a network policy that lets the clients in, to this port of the pods."""
        rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port}]}
        if self.gateway:
            rule["from"] = [pods_of(self.gateway.proxies)]
        elif self.clients:
            rule["from"] = [{"ipBlock": {"cidr": each}} for each in self.clients]
        return {
            "podSelector": {"matchLabels": dict(selector)},
            "policyTypes": ["Ingress"],
            "ingress": [rule],
        }


def expose(
    name: str,
    exposure: Exposure,
    namespace: pulumi.Input[str],
    selector: Mapping[str, pulumi.Input[str]],
    port: int,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare the service of a component's pods, who may reach them, and its route if it is behind a Gateway.

    Args:
        name: the component's name.
        exposure: how they are reached.
        namespace: where they run.
        selector: the pods that the service leads to.
        port: theirs, which is named `https`.
        opts: of all that is declared.

    """

    def named(own: str, **more: Any) -> dict[str, Any]:
        return {"name": own, "namespace": namespace, "labels": labels(name), **more}

    k8s.networking.v1.NetworkPolicy(
        f"{name}-clients",
        metadata=named(f"{name}-clients"),
        spec=exposure.admission(labels(name), port),
        opts=opts,
    )
    service = k8s.core.v1.Service(
        name,
        metadata=named(name, annotations=dict(exposure.annotations)),
        spec=exposure.specification(selector, "https"),
        opts=opts,
    )
    if exposure.gateway:
        k8s.apiextensions.CustomResource(
            f"{name}-route",
            api_version="gateway.networking.k8s.io/v1",
            kind="TLSRoute",
            metadata=named(name),
            spec=_route(name, exposure, exposure.gateway),
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[service])),
        )


def _route(name: str, exposure: Exposure, gateway: GatewayListener) -> dict[str, Any]:
    parent = {"name": gateway.name, "namespace": gateway.namespace}
    if gateway.listener:
        parent["sectionName"] = gateway.listener
    return {
        "parentRefs": [parent],
        "hostnames": [exposure.host],
        "rules": [{"backendRefs": [{"name": name, "port": exposure.port}]}],
    }
