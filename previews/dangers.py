"""What is dangerous about a change: lost data and keys, replaced clusters, wider access. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from policies.rule import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from previews.events import Changes, Step

_DATA = {
    "aws:s3/bucket:Bucket": "a bucket with all that is in it",
    "aws:kms/key:Key": "a key, and with it all that it encrypts",
    "aws:ecr/repository:Repository": "a registry of images",
    "kubernetes:core/v1:PersistentVolumeClaim": "a volume",
    "kubernetes:core/v1:Namespace": "a namespace with all that is in it",
}
_KEYS = {
    "SigningKey": "a signing key: what it signed is no longer of this stack",
    "CertificateAuthority": "a certificate authority: every client has to trust the new one",
    "StackId": "the stack's identity: its hosts and its folder in a bucket are then another's",
    "ApiKey": "an API key: every client needs the new one",
}
_CLUSTER = {
    "aws:eks/cluster:Cluster": "the cluster with all that runs in it",
    "aws:eks/nodeGroup:NodeGroup": "a group of nodes with all that runs there",
    "aws:ec2/vpc:Vpc": "the network",
    "aws:ec2/subnet:Subnet": "a subnet",
}
_PUBLIC_ACCESS = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
_GUARDS = {
    _PUBLIC_ACCESS: "the block of public access to a bucket",
    "aws:s3/bucketPolicy:BucketPolicy": "a bucket's policy, and with it all that it denies",
    "aws:s3/bucketVersioning:BucketVersioning": "a bucket's versions: what is overwritten is lost",
    "aws:vpc/vpcEndpointPolicy:VpcEndpointPolicy": "an endpoint's policy: it lets everything through",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": "the limits of what pods may reach",
}
_NETWORK = (
    *("aws:ec2/securityGroup", "aws:vpc/securityGroup", "aws:eks/cluster:", "aws:ec2/route:"),
    *("kubernetes:networking.k8s.io/", "pulumi-python:dynamic/premises:Playbook"),
)
_POLICY = ("policy", "assumeRolePolicy")
_Statements = set[tuple[str, str, str, str]]
"""Effect, who, what, and on what."""


def dangers_of(changes: Changes) -> list[str]:
    """Return what is dangerous, in words, the worst first."""
    found: list[str] = []
    for step in changes.of("delete", "replace"):
        found += _losses(step)
    for step in changes.of("create", "update", "replace"):
        if changes.is_new:
            break
        found += _wider_network(step)
        found += _wider_permissions(step)
    return found


def _losses(step: Step) -> Iterator[str]:
    verb = "deletes" if step.kind == "delete" else "replaces"
    what = _DATA.get(step.type) or _CLUSTER.get(step.type) or _KEYS.get(step.type.rpartition(":")[2])
    if what:
        yield f"{verb} {what} (`{step.name}`)"
    elif step.kind == "delete" and step.type in _GUARDS:
        yield f"removes {_GUARDS[step.type]} (`{step.name}`)"


def _wider_network(step: Step) -> Iterator[str]:
    if not step.type.startswith(_NETWORK):
        return
    before, after = set(_networks(step.old)), set(_networks(step.new))
    wider = [each for each in after - before if not any(_covers(other, each) for other in before)]
    for network in sorted(wider, key=str):
        yield f"wider network access: `{network}` (`{step.name}`)"
    if step.type.endswith(":Cluster") and _public(step.new) and not _public(step.old):
        yield f"wider network access: the cluster's API gets an address on the internet (`{step.name}`)"


def _public(inputs: Mapping[str, Any]) -> bool:
    reach = inputs.get("vpcConfig")
    return isinstance(reach, Mapping) and bool(reach.get("endpointPublicAccess"))


def _networks(value: object) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _networks(each)
    elif isinstance(value, list):
        for each in value:
            yield from _networks(each)
    elif isinstance(value, str) and "/" in value:
        try:
            yield ipaddress.ip_network(value)
        except ValueError:
            return


def _covers(one: Any, other: Any) -> bool:
    return one.version == other.version and bool(other.subnet_of(one))


def _wider_permissions(step: Step) -> Iterator[str]:
    if not step.type.startswith("aws:"):
        return
    yield from _public_access(step)
    for name in _POLICY:
        if name not in step.new or step.new[name] == step.old.get(name):
            continue
        after = _statements(step.new[name])
        if after is None:
            yield f"permissions that are not known yet (`{step.name}`, `{name}`)"
            continue
        yield from _looser(step, _statements(step.old.get(name)) or set(), after)
    attached = step.new.get("policyArn")
    if isinstance(attached, str) and attached != step.old.get("policyArn"):
        policy = "a new policy" if attached == UNKNOWN else attached.rpartition("/")[2]
        yield f"wider permissions: `{policy}` (`{step.name}`)"


def _public_access(step: Step) -> Iterator[str]:
    if step.type == _PUBLIC_ACCESS:
        for name in sorted(
            name for name, value in step.old.items() if value is True and not step.new.get(name)
        ):
            yield f"wider permissions: `{name}` is no longer on (`{step.name}`)"


def _looser(step: Step, before: _Statements, after: _Statements) -> Iterator[str]:
    for effect, who, what, where in sorted(after - before):
        if effect == "Allow":
            yield f"wider permissions: {who} may {what} on `{where}` (`{step.name}`)"
    for effect, who, what, where in sorted(before - after):
        if effect == "Deny":
            yield f"wider permissions: {who} is no longer denied {what} on `{where}` (`{step.name}`)"


def _statements(policy: object) -> _Statements | None:
    """What a policy allows and denies, each action and resource by itself; None if it cannot be read."""
    if isinstance(policy, str):
        try:
            policy = json.loads(policy)
        except ValueError:
            return None
    if not isinstance(policy, Mapping):
        return None
    found: _Statements = set()
    for each in _listed(policy.get("Statement")):
        if not isinstance(each, Mapping):
            return None
        found |= _taken_apart(each)
    return found


def _taken_apart(statement: Mapping[str, Any]) -> _Statements:
    who = json.dumps(statement.get("Principal", "its holder"), sort_keys=True).strip('"')
    actions = [f"`{action}`" for action in _listed(statement.get("Action"))]
    resources = [str(resource) for resource in _listed(statement.get("Resource"))] or ["itself"]
    # What is excepted is excepted together: a list of it cannot be taken apart.
    if "NotPrincipal" in statement:
        who = f"anybody but {json.dumps(statement['NotPrincipal'], sort_keys=True)}"
    if "NotAction" in statement:
        actions = [f"anything but `{_together(statement['NotAction'])}`"]
    if "NotResource" in statement:
        resources = [f"anything but {_together(statement['NotResource'])}"]
    condition = statement.get("Condition")
    only = f" if {json.dumps(condition, sort_keys=True)}" if condition else ""
    effect = str(statement.get("Effect"))
    return {(effect, who, action, f"{resource}{only}") for action in actions for resource in resources}


def _together(excepted: object) -> str:
    return ", ".join(sorted(map(str, _listed(excepted))))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
