"""Logs and metrics of a cluster's pods in CloudWatch, where they outlive pods and nodes: EKS's own add-on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch, eks

from components.aws.cluster import KEPT_LOGS
from components.aws.workload_identity import WorkloadIdentity, WorkloadIdentityArgs

if TYPE_CHECKING:
    from components.aws.cluster import Cluster
    from components.aws.policies import Statement

ADDON = "amazon-cloudwatch-observability"
_NAMESPACE, _ACCOUNT = "amazon-cloudwatch", "cloudwatch-agent"
_GROUPS = ("application", "dataplane", "host", "performance")
"""Log groups that the add-on writes to: what pods say, kubelets and agents, machines, and metrics; it would make those
that are missing, without end: https://github.com/aws-observability/helm-charts, values.yaml, read 2026-11."""
# Application Signals would change pods to trace requests.
_SETTINGS = {"manager": {"applicationSignals": {"autoMonitor": {"monitorAllServices": False}}}}


@dataclass(frozen=True, kw_only=True)
class ObservabilityArgs:
    """Inputs of the observability of a cluster.

    Attributes:
        cluster: the cluster.
        days: retention of logs and metrics' records.

    """

    cluster: Cluster
    days: int


class Observability(pulumi.ComponentResource):
    """The add-on, what it may do, and its log groups: encrypted, and removed with the stack."""

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the observability under `name`."""
        super().__init__("scenario:aws:Observability", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        cluster = args.cluster
        groups = [
            cloudwatch.LogGroup(
                f"{name}-{each}",
                name=f"{KEPT_LOGS}/{cluster.cluster_name}/{each}",
                retention_in_days=args.days,
                kms_key_id=cluster.key_arn,
                opts=own,
            )
            for each in _GROUPS
        ]
        rights = WorkloadIdentity(
            name,
            WorkloadIdentityArgs(
                cluster=cluster,
                namespace=_NAMESPACE,
                service_account=_ACCOUNT,
                statements=_writing(cluster),
            ),
            own,
        )
        eks.Addon(
            name,
            cluster_name=cluster.name,
            addon_name=ADDON,
            addon_version=cluster.addons.get(ADDON),
            configuration_values=json.dumps(_SETTINGS),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights, *groups]),
        )
        self.register_outputs({})


def _writing(cluster: Cluster) -> list[Statement]:
    """Return what AWS's CloudWatchAgentServerPolicy allows, for this cluster's groups, without traces."""
    groups = cluster.location.arn("logs", f"log-group:{KEPT_LOGS}/{cluster.cluster_name}/*")
    metrics = {"StringEquals": {"cloudwatch:namespace": "ContainerInsights"}}
    return [
        {
            "Sid": "Logs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            "Resource": groups,
        },
        {
            "Sid": "Metrics",
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricData"],
            "Resource": "*",
            "Condition": metrics,
        },
        {
            "Sid": "See",
            "Effect": "Allow",
            "Action": ["ec2:DescribeTags", "ec2:DescribeVolumes", "logs:DescribeLogGroups"],
            "Resource": "*",
        },
    ]
