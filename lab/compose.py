"""Both sides of the lab: the premises, and the cloud outside (Kubernetes and AWS)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import LabError
from lab.aws import lifecycle as aws
from lab.kubernetes import AWS_PORT, TOKEN_PORT
from lab.kubernetes import lifecycle as cloud
from lab.premises import lifecycle as premises
from lab.premises.namespaces import existing
from lab.premises.record import load
from lab.side import cloud_of, premises_of
from lab.teardown import anything_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kubernetes.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab."""

    premises: premises.Premises
    cluster: Cluster | None
    aws: aws.Aws | None
    """Both None if the lab has premises only."""


def bring_up(folder: Path, hosts: int | None = None) -> Lab:
    """Create both sides, or change running ones. `$LAB_CLOUD=none` leaves the cloud unchanged, or out.

    The caller holds the folder's lock. Raises LabError.
    """
    asked = os.environ.get("LAB_CLOUD", "")
    if asked not in {"", "none"}:
        raise LabError(f"unknown LAB_CLOUD={asked}", remedy='set it to "none", or leave it empty')
    record = load(folder)
    if (record is None or record.phase != "up" or existing(record) is None) and anything_of(cloud_of(folder)):
        cloud.tear_down(folder)  # its link ended in removed premises
    made = premises.bring_up(folder, hosts)
    if asked == "none":
        return Lab(made, None, None)
    cluster = cloud.bring_up(folder, made)
    return Lab(made, cluster, aws.bring_up(folder, _beside(cluster)))


def _beside(cluster: Cluster) -> aws.Place:
    """Location of AWS: in the network of the lab's own cluster, so that pods and premises reach it too."""
    if cluster.own is None:
        return aws.HERE
    return aws.Place(
        within=("nsenter", f"--net=/proc/{cluster.own.space.keeper}/ns/net", "--"),
        bind="0.0.0.0",  # noqa: S104 its own network
        address=cluster.own.addresses.cloud_inside,
        port=AWS_PORT,
        webhook_port=TOKEN_PORT,
    )


def tear_down(folder: Path) -> bool:
    """Remove both, the cloud first, and check; return whether anything was up. Raises LabError."""
    there = (folder / "aws").exists() or any(
        anything_of(side) for side in (cloud_of(folder), premises_of(folder))
    )
    aws.take_down(folder)
    cloud.tear_down(folder)
    premises.tear_down(folder)
    return there
