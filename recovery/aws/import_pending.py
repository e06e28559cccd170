"""After a killed update: import into the state what the update created in AWS without recording it.

`pulumi stack export | python -m recovery.aws.import_pending | pulumi stack import`, then `pulumi refresh
--clear-pending-creates`. `make up` does this automatically.

The engine records a pending create with all its inputs, and the ID once AWS has answered. Killed in between,
it has the first without the second. Creating the resource again is then refused (a cluster's name, a subnet's
addresses) or leaves an orphan that costs money. The resource is found by its name, or by the tag `Name` and
the stack's tag; with its ID, the pending create becomes an ordinary resource, once AWS has made it. The refresh
drops pending creates that never reached AWS.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.console import run, say
from recovery import RecoveryError
from recovery.aws.readiness import is_ready
from recovery.aws.session import session_of
from recovery.aws.tagged import Tag, tagged_resources
from recovery.aws.untracked import resources_of, untracked

if TYPE_CHECKING:
    from collections.abc import Sequence

BY_TAG = {
    "aws:ec2/eip:Eip": "elastic-ip",
    "aws:ec2/internetGateway:InternetGateway": "internet-gateway",
    "aws:ec2/launchTemplate:LaunchTemplate": "launch-template",
    "aws:ec2/natGateway:NatGateway": "natgateway",
    "aws:ec2/routeTable:RouteTable": "route-table",
    "aws:ec2/securityGroup:SecurityGroup": "security-group",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/vpc:Vpc": "vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpc-endpoint",
    "aws:ec2/vpcEndpointService:VpcEndpointService": "vpc-endpoint-service",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "security-group-rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "security-group-rule",
}
"""Pulumi's types, and EC2's resource type in tags. Each resource of a stack has a unique `Name`."""

BALANCING_BY_TAG = {
    "aws:lb/listener:Listener": ":listener/",
    "aws:lb/loadBalancer:LoadBalancer": ":loadbalancer/",
    "aws:lb/targetGroup:TargetGroup": ":targetgroup/",
}
"""The same for Elastic Load Balancing, which keeps its tags itself; and a part of their ARNs, which are their IDs."""

_OURS_BY_TAG = {
    "aws:cloudwatch/logGroup:LogGroup": ":log-group:",
    "aws:ecr/repository:Repository": ":repository/",
    "aws:eks/cluster:Cluster": ":cluster/",
}
"""Resources whose name from the settings is their ID: ours only if the ARN carries the stack's tag."""

OURS_BY_NAME = {
    "aws:ec2/placementGroup:PlacementGroup": "{name}",
    "aws:ec2/route:Route": "{routeTableId}_{destinationCidrBlock}",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "{subnetId}/{routeTableId}",
    "aws:eks/accessEntry:AccessEntry": "{clusterName}:{principalArn}",
    "aws:eks/addon:Addon": "{clusterName}:{addonName}",
    "aws:eks/nodeGroup:NodeGroup": "{clusterName}:{nodeGroupName}",
    "aws:iam/role:Role": "{name}",
    "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
    "aws:s3/bucket:Bucket": "{bucket}",
}
"""Resources that the engine gave a random suffix, or that are part of one of ours.

Creating anything not in these tables again is idempotent in AWS, except for a budget, which is then
duplicated.
"""


def import_pending(export: dict[str, Any]) -> list[str]:
    """Turn pending creates that exist in AWS into resources of an exported stack. Return one line for each.

    Waits for what AWS is still making: minutes, for a cluster.

    Raises:
        RecoveryError: the input is not a stack export, or AWS could not make a resource.

    """
    resources = resources_of(export)
    deployment = export["deployment"]
    pending = deployment.get("pending_operations") or []
    begun = [
        each["resource"]
        for each in pending
        if each["type"] == "creating" and each["resource"]["type"].startswith("aws:")
    ]
    # A pending replacement is created again: the state has room for one of each.
    known = {each["urn"] for each in resources}
    begun = [each for each in begun if each["urn"] not in known]
    if not begun:
        return []
    session, tag = _place(resources, begun[0]["provider"])
    lost = untracked(tagged_resources(session, tag), export)
    told, found_urns = [], set()
    for resource in begun:
        identity = _identity(resource, lost, session)
        if identity and is_ready(resource["type"], identity, session):
            # Without outputs, a refresh reads it as `pulumi import` does, by an ID of that form.
            resources.append(resource | {"id": identity, "outputs": {}})
            found_urns.add(resource["urn"])
            kind, name = resource["type"].rpartition(":")[2], resource["urn"].rpartition("::")[2]
            told.append(f"{kind} {name} is {identity}")
    deployment["pending_operations"] = [
        each for each in pending if each["type"] != "creating" or each["resource"]["urn"] not in found_urns
    ]
    return told


def _place(resources: list[dict[str, Any]], reference: str) -> tuple[Any, Tag]:
    """Return a session and the stack's tag, from the configuration of the provider that created it."""
    urn, _, identity = reference.rpartition("::")
    (inputs,) = [
        each["inputs"] for each in resources if (each["urn"], each.get("id")) == (urn, identity)
    ] or [{}]
    try:
        ((key, value), *_) = json.loads(inputs["defaultTags"])["tags"].items()
        return session_of(inputs), Tag(key=key, value=value)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecoveryError(
            "the state does not contain the stack's region and tag; "
            "find what the killed update created with `python -m recovery.aws.untracked`"
        ) from None


def _identity(resource: dict[str, Any], lost: Sequence[str], session: Any) -> str | None:
    """Return the ID of the created resource if it can be determined; None if nothing was created."""
    kind, inputs = resource["type"], resource.get("inputs") or {}
    try:
        if kind in BY_TAG:
            return _tagged(BY_TAG[kind], inputs["tags"]["Name"], lost, session.client("ec2"))
        if kind in BALANCING_BY_TAG:
            return _balancing(BALANCING_BY_TAG[kind], inputs["tags"]["Name"], lost, session.client("elbv2"))
        if kind == "aws:kms/key:Key":
            return _key(inputs["tags"]["Name"], lost, session.client("kms"))
        if kind == "aws:eks/podIdentityAssociation:PodIdentityAssociation":
            return _association(inputs, session.client("eks"))
        if kind in OURS_BY_NAME:
            return OURS_BY_NAME[kind].format_map(inputs)
        if kind in _OURS_BY_TAG:
            name: str = inputs["name"]
            return name if any(each.endswith(_OURS_BY_TAG[kind] + name) for each in lost) else None
    except (KeyError, TypeError, ValueError):
        return None  # created differently from ours, so indistinguishable from others
    return None


def _tagged(kind: str, name: str, lost: Sequence[str], ec2: Any) -> str | None:
    found = [each.partition(" ")[2] for each in lost if each.startswith(f"{kind} ")]
    if not found:
        return None
    asked = [
        {"Name": "resource-id", "Values": found},
        {"Name": "key", "Values": ["Name"]},
        {"Name": "value", "Values": [name]},
    ]
    named = [each["ResourceId"] for each in ec2.describe_tags(Filters=asked)["Tags"]]
    return str(named[0]) if len(named) == 1 else None


def _balancing(part: str, name: str, lost: Sequence[str], elbv2: Any) -> str | None:
    arns = [each for each in lost if part in each]
    tag = {"Key": "Name", "Value": name}
    told = elbv2.describe_tags(ResourceArns=arns)["TagDescriptions"] if arns else []
    named = [each["ResourceArn"] for each in told if tag in each["Tags"]]
    return str(named[0]) if len(named) == 1 else None


def _key(name: str, lost: Sequence[str], kms: Any) -> str | None:
    keys = [each.rpartition("/")[2] for each in lost if ":kms:" in each]
    tag = {"TagKey": "Name", "TagValue": name}
    named = [each for each in keys if tag in kms.list_resource_tags(KeyId=each)["Tags"]]
    return named[0] if len(named) == 1 else None


def _association(inputs: dict[str, Any], eks: Any) -> str | None:
    """Return the pod identity association of a service account: there is at most one."""
    whose = {name: inputs[name] for name in ("clusterName", "namespace", "serviceAccount")}
    found = eks.list_pod_identity_associations(**whose)["associations"]
    return f"{inputs['clusterName']},{found[0]['associationId']}" if found else None


def main() -> None:
    """Read an export from standard input; write it, with what was found, to standard output."""
    try:
        export = json.load(sys.stdin)
        told = import_pending(export if isinstance(export, dict) else {})
    except ValueError:
        sys.exit("import_pending: standard input is not JSON; pipe `pulumi stack export` into it")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"import_pending: cannot find out from AWS what the killed update created: {error}")
    except RecoveryError as error:
        sys.exit(f"import_pending: {error}")
    for each in told:
        say(f"import_pending: {each}")
    json.dump(export, sys.stdout)


if __name__ == "__main__":
    run(main)
