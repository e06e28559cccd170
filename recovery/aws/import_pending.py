"""After a killed update: what it made in AWS and did not note goes into the stack's state.

`pulumi stack export | python -m recovery.aws.import_pending | pulumi stack import`, then
`pulumi refresh --clear-pending-creates`. `make up` does it by itself.

An engine notes that it begins to create something, with all that it asks for, and notes the ID when AWS has
answered. Killed in between, it has the first without the second. A second thing of the same kind is then
refused (a cluster's name, a subnet's addresses) or costs money unseen. What was made is found again by its
name, or by the tags `Name` and the stack's; with the ID the note is a resource as any other. What was not
made after all, the refresh drops.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.console import run, say
from recovery import RecoveryError
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
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "security-group-rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "security-group-rule",
}
"""Pulumi's types, and what EC2 calls them in tags. Each of the stack's has a `Name`, no two the same."""

_OURS_BY_TAG = {
    "aws:cloudwatch/logGroup:LogGroup": ":log-group:",
    "aws:ecr/repository:Repository": ":repository/",
    "aws:eks/cluster:Cluster": ":cluster/",
}
"""What has its name, which is its ID, from the settings: ours only if its ARN has the stack's tag."""

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
"""What the engine gave a name with a random end, or what is inside of something of ours.

What is not in these tables may be asked for twice, and AWS takes it as the same; but for a budget, which then
is there twice.
"""


def import_pending(export: dict[str, Any]) -> list[str]:
    """Change an exported stack: what was begun and is in AWS becomes a resource. Return what, a line each.

    Raises:
        RecoveryError: it is no export of a stack, or AWS does not answer.

    """
    resources = resources_of(export)
    deployment = export["deployment"]
    pending = deployment.get("pending_operations") or []
    begun = [
        each["resource"]
        for each in pending
        if each["type"] == "creating" and each["resource"]["type"].startswith("aws:")
    ]
    # What was to replace another is made anew: the state has room for one of each.
    known = {each["urn"] for each in resources}
    begun = [each for each in begun if each["urn"] not in known]
    if not begun:
        return []
    region, tag = _place(resources, begun[0]["provider"])
    session = boto3.session.Session(region_name=region)
    lost = untracked(tagged_resources(region, tag), export)
    told, found_urns = [], set()
    for resource in begun:
        identity = _identity(resource, lost, session)
        if identity:
            # Without outputs, which makes a refresh read it as `pulumi import` does, by an ID of that form.
            resources.append(resource | {"id": identity, "outputs": {}})
            found_urns.add(resource["urn"])
            kind, name = resource["type"].rpartition(":")[2], resource["urn"].rpartition("::")[2]
            told.append(f"{kind} {name} is {identity}")
    deployment["pending_operations"] = [
        each for each in pending if each["type"] != "creating" or each["resource"]["urn"] not in found_urns
    ]
    return told


def _place(resources: list[dict[str, Any]], reference: str) -> tuple[str, Tag]:
    """Return region and tag out of the settings of the provider that made it."""
    urn, _, identity = reference.rpartition("::")
    (inputs,) = [
        each["inputs"] for each in resources if (each["urn"], each.get("id")) == (urn, identity)
    ] or [{}]
    try:
        ((key, value), *_) = json.loads(inputs["defaultTags"])["tags"].items()
        return str(inputs["region"]), Tag(key=key, value=value)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecoveryError(
            "the state does not say in which region and with which tag the stack makes its resources; "
            "find what the killed update made by `python -m recovery.aws.untracked`"
        ) from None


def _identity(resource: dict[str, Any], lost: Sequence[str], session: Any) -> str | None:
    """Return the ID of what was made, so far as it can be known; None where nothing was."""
    kind, inputs = resource["type"], resource.get("inputs") or {}
    try:
        if kind in BY_TAG:
            return _tagged(BY_TAG[kind], inputs["tags"]["Name"], lost, session.client("ec2"))
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
        return None  # begun in another way than ours, and not to be told from others
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


def _key(name: str, lost: Sequence[str], kms: Any) -> str | None:
    keys = [each.rpartition("/")[2] for each in lost if ":kms:" in each]
    tag = {"TagKey": "Name", "TagValue": name}
    named = [each for each in keys if tag in kms.list_resource_tags(KeyId=each)["Tags"]]
    return named[0] if len(named) == 1 else None


def _association(inputs: dict[str, Any], eks: Any) -> str | None:
    """Return what gives a service account its role: there is one at most."""
    whose = {name: inputs[name] for name in ("clusterName", "namespace", "serviceAccount")}
    found = eks.list_pod_identity_associations(**whose)["associations"]
    return f"{inputs['clusterName']},{found[0]['associationId']}" if found else None


def main() -> None:
    """Read an export on standard input, write it with what was found on standard output."""
    try:
        export = json.load(sys.stdin)
        told = import_pending(export if isinstance(export, dict) else {})
    except ValueError:
        sys.exit("import_pending: standard input is no JSON; pipe `pulumi stack export` into it")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"import_pending: AWS does not say what the killed update made: {error}")
    except RecoveryError as error:
        sys.exit(f"import_pending: {error}")
    for each in told:
        say(f"import_pending: {each}")
    json.dump(export, sys.stdout)


if __name__ == "__main__":
    run(main)
