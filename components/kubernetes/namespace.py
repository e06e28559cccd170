"""A namespace that takes restricted pods only, and closes their network to everything that is not listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.isolation import CLUSTER_DNS, Destination, Resolver, policies

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def closed_namespace(
    name: str,
    destinations: Sequence[Destination],
    service_account: str,
    opts: pulumi.ResourceOptions,
    resolvers: Sequence[Resolver] = (CLUSTER_DNS,),
) -> k8s.core.v1.Namespace:
    """Declare the namespace, its policies, and a service account without permissions in the cluster.

    Args:
        name: the namespace's.
        destinations: what its pods may call.
        service_account: for a cloud identity of the pods.
        opts: of all of them: the parent or the provider.
        resolvers: who answers its pods' questions for names.

    """
    namespace = k8s.core.v1.Namespace(name, metadata={"name": name, "labels": _RESTRICTED}, opts=opts)
    inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[namespace]))
    for each, spec in policies(destinations, resolvers).items():
        k8s.networking.v1.NetworkPolicy(
            f"{name}-{each}", metadata={"name": each, "namespace": name}, spec=spec, opts=inside
        )
    k8s.core.v1.ServiceAccount(
        service_account,
        metadata={"name": service_account, "namespace": name},
        automount_service_account_token=False,
        opts=inside,
    )
    return namespace
