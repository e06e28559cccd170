"""What is dangerous about a change: lost data and keys, replaced clusters, wider access. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from previews.sealed import UNKNOWN

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
_NETWORK = (
    *("aws:ec2/securityGroup", "aws:vpc/securityGroup", "aws:eks/cluster:", "aws:ec2/route:"),
    *("kubernetes:networking.k8s.io/", "pulumi-python:dynamic/premises:Playbook"),
)
_POLICY = ("policy", "assumeRolePolicy")


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
    for name in _POLICY:
        if name not in step.new or step.new[name] == step.old.get(name):
            continue
        after = _statements(step.new[name])
        if after is None:
            yield f"permissions that are not known yet (`{step.name}`, `{name}`)"
            continue
        before = _statements(step.old.get(name)) or set()
        for effect, who, what, where in sorted(after - before):
            if effect == "Allow":
                yield f"wider permissions: {who} may `{what}` on `{where}` (`{step.name}`)"
    attached = step.new.get("policyArn")
    if isinstance(attached, str) and attached != step.old.get("policyArn"):
        policy = "a new policy" if attached == UNKNOWN else attached.rpartition("/")[2]
        yield f"wider permissions: `{policy}` (`{step.name}`)"


def _statements(policy: object) -> set[tuple[str, str, str, str]] | None:
    """What a policy allows and denies, each action and resource by itself; None if it cannot be read."""
    if isinstance(policy, str):
        try:
            policy = json.loads(policy)
        except ValueError:
            return None
    if not isinstance(policy, Mapping):
        return None
    found = set()
    for each in _listed(policy.get("Statement")):
        if not isinstance(each, Mapping):
            return None
        who = json.dumps(each.get("Principal", "its holder"), sort_keys=True).strip('"')
        conditions = json.dumps(each.get("Condition", ""), sort_keys=True) if each.get("Condition") else ""
        for action in _listed(each.get("Action") or each.get("NotAction")):
            for resource in _listed(each.get("Resource") or each.get("NotResource") or "itself"):
                where = f"{resource}{' if ' + conditions if conditions else ''}"
                found.add((str(each.get("Effect")), who, str(action), where))
    return found


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
