"""After a killed update: wait until AWS has made what it was still making.

An EKS cluster takes about ten minutes and has neither endpoint nor certificate authority before; a node group takes
minutes too. Read into the state half-made, everything that depends on it fails.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from botocore.exceptions import ClientError

from bootstrap.console import Progress, say
from recovery import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Callable

_SLOWEST_S = 15.0
_LONGEST_S = 2400.0
"""The longest of AWS's own waiters: 40 minutes, for a node group."""
_MADE = {"active", "active_impaired", "available", "degraded", "pendingacceptance", "update_failed"}
_FAILED = {"create_failed", "delete_failed", "expired", "failed", "rejected"}
_GONE = {"deleted"}


class Status(NamedTuple):
    """A resource's status in AWS's words, and AWS's reason if it failed."""

    word: str
    reason: str = ""


class _Kind(NamedTuple):
    noun: str
    look: Callable[[Any, str], Status]
    delete: str
    """The AWS CLI's command, with an ID, or the cluster and the name that it consists of."""


def is_ready(kind: str, identity: str, session: Any) -> bool:
    """Wait until AWS has made a resource, logging progress. False if AWS does not have it or removed it.

    `kind` and `identity` are Pulumi's type and ID; of a type that AWS makes at once, it is always ready.

    Raises:
        RecoveryError: AWS could not make it, or is still at it after 40 minutes; with the remedy.

    """
    if kind not in _KINDS:
        return True
    what, progress, begun = f"{_KINDS[kind].noun} {identity}", None, time.monotonic()
    while status := _status(_KINDS[kind], identity, session):
        word = status.word.lower()
        if word in _MADE:
            if progress:
                progress.done(status.word)
            return True
        if word in _FAILED:
            _refuse(what, status, _KINDS[kind].delete, identity, session.region_name)
        if (waited := time.monotonic() - begun) >= _LONGEST_S:
            raise RecoveryError(
                f"{what} is still {status.word} after {_LONGEST_S / 60:.0f} min; see in AWS why, "
                "and run make up again"
            )
        if progress is None:
            say(f"waiting for {what}, which is {status.word}")
            progress = Progress(what)
        progress.update(status.word)
        time.sleep(min(_SLOWEST_S, 1 + waited / 10))
    return False


def _refuse(what: str, status: Status, delete: str, identity: str, region: str) -> NoReturn:
    cluster, _, name = identity.partition(":")
    command = f"{delete.format(id=identity, cluster=cluster, name=name)} --region {region}"
    reason = f": {status.reason}" if status.reason else ""
    raise RecoveryError(f"{what} is {status.word}{reason}; delete it, `{command}`, then run make up again")


def _status(kind: _Kind, identity: str, session: Any) -> Status | None:
    """Return a resource's status; None if there is none."""
    try:
        status = kind.look(session, identity)
    except ClientError as error:
        if "NotFound" in error.response["Error"]["Code"]:
            return None
        raise
    return None if status.word.lower() in _GONE else status


def _cluster(session: Any, name: str) -> Status:
    return _of_eks(session.client("eks").describe_cluster(name=name)["cluster"])


def _node_group(session: Any, identity: str) -> Status:
    cluster, name = identity.split(":")
    eks = session.client("eks")
    return _of_eks(eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"])


def _addon(session: Any, identity: str) -> Status:
    cluster, name = identity.split(":")
    return _of_eks(session.client("eks").describe_addon(clusterName=cluster, addonName=name)["addon"])


def _of_eks(told: dict[str, Any]) -> Status:
    issues = (told.get("health") or {}).get("issues") or []
    return Status(told["status"], "; ".join(f"{each['code']}: {each.get('message', '')}" for each in issues))


def _nat_gateway(session: Any, identity: str) -> Status:
    (told,) = session.client("ec2").describe_nat_gateways(NatGatewayIds=[identity])["NatGateways"]
    return Status(told["State"], told.get("FailureMessage", ""))


def _endpoint(session: Any, identity: str) -> Status:
    (told,) = session.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[identity])["VpcEndpoints"]
    return Status(told["State"], (told.get("LastError") or {}).get("Message", ""))


def _endpoint_service(session: Any, identity: str) -> Status:
    asked = session.client("ec2").describe_vpc_endpoint_service_configurations(ServiceIds=[identity])
    return Status(asked["ServiceConfigurations"][0]["ServiceState"])


def _balancer(session: Any, arn: str) -> Status:
    (told,) = session.client("elbv2").describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    return Status(told["State"]["Code"], told["State"].get("Reason", ""))


_KINDS = {
    "aws:ec2/natGateway:NatGateway": _Kind(
        "the NAT gateway", _nat_gateway, "aws ec2 delete-nat-gateway --nat-gateway-id {id}"
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _Kind(
        "the VPC endpoint", _endpoint, "aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {id}"
    ),
    "aws:ec2/vpcEndpointService:VpcEndpointService": _Kind(
        "the endpoint service",
        _endpoint_service,
        "aws ec2 delete-vpc-endpoint-service-configurations --service-ids {id}",
    ),
    "aws:eks/addon:Addon": _Kind(
        "the add-on", _addon, "aws eks delete-addon --cluster-name {cluster} --addon-name {name}"
    ),
    "aws:eks/cluster:Cluster": _Kind("the cluster", _cluster, "aws eks delete-cluster --name {id}"),
    "aws:eks/nodeGroup:NodeGroup": _Kind(
        "the node group",
        _node_group,
        "aws eks delete-nodegroup --cluster-name {cluster} --nodegroup-name {name}",
    ),
    "aws:lb/loadBalancer:LoadBalancer": _Kind(
        "the load balancer", _balancer, "aws elbv2 delete-load-balancer --load-balancer-arn {id}"
    ),
}
"""What AWS takes its time to make. https://docs.aws.amazon.com/eks/latest/APIReference/API_Cluster.html and the like
list the words."""
