"""The lab's data in addition to moto's cluster, and EKS's validation of a cluster's inputs."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import yaml
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import InvalidParameterException

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moto.eks.models import Cluster, EKSBackend


@dataclass(slots=True)
class Beside:
    """Cluster data that moto does not store, in EKS's form."""

    access_entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the principal's ARN."""
    access_policies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By the principal's ARN, then the policy's."""
    addons: dict[str, dict[str, Any]] = field(default_factory=dict)
    pod_identities: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tagged(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Yield each tagged resource with its ARN."""
        for entry in self.access_entries.values():
            yield entry["accessEntryArn"], entry
        for addon in self.addons.values():
            yield addon["addonArn"], addon
        for association in self.pod_identities.values():
            yield association["associationArn"], association


_beside: WeakKeyDictionary[Cluster, Beside] = WeakKeyDictionary()


def beside(cluster: Cluster) -> Beside:
    """Return a cluster's additional data; it is removed with moto's own object, also in a reset."""
    return _beside.setdefault(cluster, Beside())


CREATING = "lab:creating-seconds"
"""A tag of clusters: EKS takes ten minutes, the lab no time, but a cluster with this tag so many seconds."""


def keep_status(cluster: Cluster) -> None:
    """Set the cluster's status: CREATING as long as its tag says."""
    age = utcnow() - cluster.created_at
    creating = age < dt.timedelta(seconds=float(cluster.tags.get(CREATING, 0)))
    cluster.status = "CREATING" if creating else "ACTIVE"


def as_described(cluster: Cluster) -> Cluster:
    """Return the cluster as EKS describes it: without endpoint and authority as long as it is made."""
    if cluster.status != "CREATING":
        return cluster
    shown = copy.copy(cluster)
    shown.endpoint, shown.certificate_authority = None, {}
    return shown


def put_kubernetes_behind(cluster: Cluster, kubeconfig: Path) -> None:
    """Give the cluster the endpoint and certificate authority of the lab's Kubernetes, if it is running."""
    if not kubeconfig.is_file():
        return
    told = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    current = {each["name"]: each["context"] for each in told["contexts"]}[told["current-context"]]
    server = {each["name"]: each["cluster"] for each in told["clusters"]}[current["cluster"]]
    authority = server.get("certificate-authority-data")
    if not authority and "certificate-authority" in server:
        file = kubeconfig.parent / server["certificate-authority"]
        authority = base64.b64encode(file.read_bytes()).decode("ascii")
    cluster.endpoint = server["server"]
    cluster.certificate_authority = {"data": authority or ""}


def check_subnets(backend: EKSBackend, subnets: Iterable[str]) -> str:
    """Return the subnets' common VPC; refuse, as EKS does, unknown subnets or several VPCs."""
    known = {
        subnet.id: subnet.vpc_id
        for subnet in ec2_backends[backend.account_id][backend.region_name].describe_subnets()
    }
    if missing := [subnet for subnet in subnets if subnet not in known]:
        raise InvalidParameterException(message=f"The subnet ID '{missing[0]}' does not exist")
    vpcs = sorted({known[subnet] for subnet in subnets})
    if len(vpcs) != 1:
        raise InvalidParameterException(message=f"Subnets must be in one VPC; these are in {vpcs}")
    return str(vpcs[0])


def check_security_groups(backend: EKSBackend, groups: Iterable[str]) -> None:
    """Refuse a security group that does not exist."""
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    for group in groups:
        if ec2.get_security_group_from_id(group) is None:
            raise InvalidParameterException(message=f"The security group '{group}' does not exist")


def make_security_group(backend: EKSBackend, name: str, vpc: str) -> str:
    """Create the cluster's own security group, as EKS does; return its ID."""
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    tags = {f"kubernetes.io/cluster/{name}": "owned"}
    group = ec2.create_security_group(
        f"eks-cluster-sg-{name}-{uuid.uuid4().hex[:8]}", "EKS created security group", vpc, tags=tags
    )
    return str(group.id)


def remove_security_group(backend: EKSBackend, group: str) -> None:
    """Remove the cluster's own security group."""
    ec2_backends[backend.account_id][backend.region_name].delete_security_group(group_id=group)
