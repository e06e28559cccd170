"""A **stand-in** for the Cluster Autoscaler, EC2 and EKS's nodes: a node group grows when pods wait for it.

Which pods wait is the real scheduler's word; labels and taints of the nodes are those that the group was created
with. What it leaves out: how the autoscaler finds the group and asks AWS for nodes, and that it removes idle ones.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import boto3

from lab import LabError
from lab.aws import CREDENTIALS, REGION
from lab.kubernetes import machines

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws
    from lab.kubernetes.cluster import OwnCluster
    from lab.kubernetes.machines import Machine

_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


def grow(
    own: OwnCluster, aws: Aws, eks: str, labels: dict[str, str], machine: Machine, timeout_s: float
) -> list[str]:
    """Wait until pods wait for the group with these labels, start a node for each, at most as many as it may have.

    Return what the scheduler said of those pods. Raises LabError if none waits in time.
    """
    deadline = time.monotonic() + timeout_s
    waiting: list[str] = []
    # Pods of a job come one after the other: until no more come.
    while not waiting or len(waiting) < len(_waiting(own, labels)):
        if time.monotonic() > deadline:
            raise LabError(f"no pod waits for nodes with {labels} after {timeout_s:.0f} s")
        waiting = _waiting(own, labels)
        time.sleep(0.5)
    group = _group(aws, eks, labels)
    taints = [{**each, "effect": _EFFECTS[each["effect"]]} for each in group["taints"]]
    told = {**group["labels"], "eks.amazonaws.com/nodegroup": group["nodegroupName"]}
    for number in range(1, 1 + min(len(waiting), group["scalingConfig"]["maxSize"])):
        machines.start(own, number, machine, told, taints)
    return waiting


def _waiting(own: OwnCluster, labels: dict[str, str]) -> list[str]:
    """Return the scheduler's words on each pod that fits on no node, but might on one with these labels."""
    said = []
    for pod in own.kubectl.get("pods", "--all-namespaces", "--field-selector=status.phase=Pending")["items"]:
        wanted = pod["spec"].get("nodeSelector", {})
        if not wanted or not wanted.items() <= labels.items():
            continue
        conditions = pod["status"].get("conditions", [])
        said += [each["message"] for each in conditions if each.get("reason") == "Unschedulable"]
    return said


def _group(aws: Aws, eks: str, labels: dict[str, str]) -> dict[str, Any]:
    keys = {key.lower(): value for key, value in CREDENTIALS.items()}
    client = boto3.client("eks", endpoint_url=aws.endpoint, region_name=REGION, **keys)
    for name in client.list_nodegroups(clusterName=eks)["nodegroups"]:
        group: dict[str, Any] = client.describe_nodegroup(clusterName=eks, nodegroupName=name)["nodegroup"]
        if labels.items() <= group["labels"].items():
            return group
    raise LabError(f"{eks} has no node group with {labels}")
