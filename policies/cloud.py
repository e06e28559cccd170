"""Rules for AWS: nothing for everybody, no almighty role, disks encrypted, machines that ask for tokens.

Defaults of a missing property are EKS's and EC2's: a cluster's API is public, and a launch template encrypts nothing.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from policies.rule import NotKnownError, Rule, is_on, read, read_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rule import Resource

# As the cluster's own setting has it: a network of somebody, not a part of the internet.
_LONGEST = 16
_ALMIGHTY = ("AdministratorAccess", "IAMFullAccess", "PowerUserAccess")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _narrow_ingress(resource: Resource) -> Iterator[str]:
    properties = resource.properties
    rules: list[Any] = [properties]
    if resource.type.startswith("aws:ec2/securityGroup:"):
        rules = read_list(properties, "ingress")
    elif resource.type.startswith("aws:ec2/securityGroupRule:") and read(properties, "type") != "ingress":
        return
    for each in rules:
        for path in ("cidrIpv4", "cidrIpv6", "cidrBlocks", "ipv6CidrBlocks"):
            for block in filter(_is_wide, read_list(each, path)):
                yield f"it admits {block}; name your own networks, of prefix {_LONGEST} or longer"


def _narrow_api(resource: Resource) -> Iterator[str]:
    if read(resource.properties, "vpcConfig.endpointPublicAccess") in (False, "false"):
        return
    blocks = read_list(resource.properties, "vpcConfig.publicAccessCidrs") or ["0.0.0.0/0"]
    for block in filter(_is_wide, blocks):
        yield f"its API admits {block}; name your own networks, or let it be private"


def _is_wide(block: object) -> bool:
    try:
        network = ipaddress.ip_network(str(block))
    except ValueError:
        raise NotKnownError(str(block)) from None
    return network.prefixlen < _LONGEST and not network.is_private


def _private_bucket(resource: Resource) -> Iterator[str]:
    off = [name for name in _BLOCKS if not is_on(read(resource.properties, name))]
    if off:
        yield f"{', '.join(off)} is off; turn all four on"


def _for_somebody(resource: Resource) -> Iterator[str]:
    for statement in _statements(resource, "policy"):
        who = statement.get("Principal")
        everybody = who == "*" or (isinstance(who, Mapping) and "*" in _listed(who.get("AWS")))
        everybody |= "NotPrincipal" in statement
        if statement.get("Effect") == "Allow" and everybody and not statement.get("Condition"):
            yield f"it lets everybody do {', '.join(map(str, _listed(statement.get('Action'))))}; name who may"


def _not_almighty(resource: Resource) -> Iterator[str]:
    if resource.type.startswith(("aws:iam/rolePolicyAttachment:", "aws:iam/userPolicyAttachment:")):
        policy = str(read(resource.properties, "policyArn")).rpartition("/")[2]
        if policy in _ALMIGHTY:
            yield f"it has {policy}; attach what it needs"
        return
    for statement in _statements(resource, "policy"):
        if statement.get("Effect") != "Allow":
            continue
        if "NotAction" in statement:
            yield "it may do all but some actions; name those that it needs"
        elif {"*", "*:*", "iam:*"} & set(map(str, _listed(statement.get("Action")))):
            yield f"it may do {', '.join(map(str, _listed(statement['Action'])))}; name what it needs"


def _statements(resource: Resource, path: str) -> Iterator[Mapping[str, Any]]:
    policy = read(resource.properties, path)
    if isinstance(policy, str):
        try:
            policy = json.loads(policy)
        except ValueError:
            raise NotKnownError(path) from None
    for each in read_list(policy, "Statement"):
        if not isinstance(each, Mapping):
            raise NotKnownError(path)
        yield each


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _encrypted(resource: Resource) -> Iterator[str]:
    if resource.type.startswith("aws:ebs/volume:"):
        if not is_on(read(resource.properties, "encrypted")):
            yield "the volume is not encrypted; set encrypted"
        return
    for disk in read_list(resource.properties, "blockDeviceMappings"):
        if read(disk, "ebs") and not is_on(read(disk, "ebs.encrypted")):
            yield f"the disk {read(disk, 'deviceName')} is not encrypted; set ebs.encrypted"


def _with_tokens(resource: Resource) -> Iterator[str]:
    if read(resource.properties, "metadataOptions.httpTokens") != "required":
        yield "whatever runs there may read the machine's role; set metadataOptions.httpTokens to required"


RULES = (
    Rule(
        name="ingress-from-known-networks",
        meaning="Security groups admit networks of somebody, not the internet.",
        types=(
            "aws:vpc/securityGroupIngressRule:",
            "aws:ec2/securityGroup:",
            "aws:ec2/securityGroupRule:",
        ),
        judge=_narrow_ingress,
    ),
    Rule(
        name="cluster-api-for-known-networks",
        meaning="A cluster's API is private, or admits networks of somebody.",
        types=("aws:eks/cluster:",),
        judge=_narrow_api,
    ),
    Rule(
        name="buckets-are-private",
        meaning="Buckets block public access in all four ways.",
        types=("aws:s3/bucketPublicAccessBlock:",),
        judge=_private_bucket,
    ),
    Rule(
        name="nothing-for-everybody",
        meaning="Policies of buckets, keys and registries allow nothing to everybody.",
        types=("aws:s3/bucketPolicy:", "aws:kms/key:", "aws:ecr/repositoryPolicy:"),
        judge=_for_somebody,
        waits=True,
    ),
    Rule(
        name="roles-are-not-almighty",
        meaning="Roles name what they may do.",
        types=(
            "aws:iam/policy:",
            "aws:iam/rolePolicy:",
            "aws:iam/rolePolicyAttachment:",
            "aws:iam/userPolicy:",
            "aws:iam/userPolicyAttachment:",
        ),
        judge=_not_almighty,
        waits=True,
    ),
    Rule(
        name="disks-are-encrypted",
        meaning="Disks of machines are encrypted.",
        types=("aws:ec2/launchTemplate:", "aws:ebs/volume:"),
        judge=_encrypted,
    ),
    Rule(
        name="machines-ask-for-tokens",
        meaning="Machines give their role's credentials to those with a token alone (IMDSv2).",
        types=("aws:ec2/launchTemplate:", "aws:ec2/instance:"),
        judge=_with_tokens,
    ),
)
