"""Rows of the table: who does what to which ARN, from where, how; and what that is allowed by, or kept out by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.stacks.policy_table import arns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stacks.policy_table.given import Principal

SHIPPED = "as shipped"
OPENED = "with a reader and keys of the user's"
CLOSED = "without internet access, with shells"


@dataclass(frozen=True)
class How:
    """Circumstances of a request, as AWS tells them to policies. A value of None: it tells nothing."""

    says: str
    context: Mapping[str, str | None] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Place:
    """From where a request comes.

    Attributes:
        says: how the table calls it.
        inside: whether it is the stack's network, so that requests pass the policy of an endpoint of it.
        endpoint: which, where it is not the action's service.
        context: what AWS tells of it to policies.

    """

    says: str
    inside: bool = False
    endpoint: str | None = None
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


INSIDE = Place("inside the network", inside=True)
OUTSIDE = Place("from outside")
WITHIN_AWS = Place("within AWS")
ANOTHER_NETWORK = Place("from another network", context={"aws:SourceVpce": "vpce-0another0network"})


def through(endpoint: str) -> Place:
    """Inside the network, by another endpoint than the action's service."""
    return Place(f"through {endpoint}", inside=True, endpoint=endpoint)


def by(service: str) -> Place:
    """By way of a service, which asks KMS on the caller's behalf."""
    via = {"kms:ViaService": f"{service}.{arns.REGION}.amazonaws.com", "aws:ViaAWSService": "true"}
    return Place(f"by way of {service}", context=via)


_USUAL = How("")
PLAIN_HTTP = How("by plain HTTP", {"aws:SecureTransport": "false", "s3:TlsVersion": None})
OLD_TLS = How("by TLS 1.1", {"s3:TlsVersion": "1.1"})
ELSEWHERE = How("in another region", {"aws:RequestedRegion": "us-east-1"})


def encrypted(says: str, algorithm: str, key: str | None = None) -> How:
    """An object that its sender wants encrypted in some way."""
    header = "s3:x-amz-server-side-encryption"
    return How(says, {header: algorithm} | ({f"{header}-aws-kms-key-id": key} if key else {}))


SENDERS_KEY = How(
    "with a key of the sender's", {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"}
)


def of_a_group(tag: str | None) -> How:
    """A group of nodes that carries a cluster's name."""
    said = f"tagged {tag}" if tag else "untagged"
    return How(said, {"aws:ResourceTag/eks:cluster-name": tag} if tag else {})


def for_logs(group: str, account: str = arns.ACCOUNT) -> How:
    """Encryption of a group of logs, which CloudWatch Logs names as the context of each use of a key."""
    arn = f"arn:aws:logs:{arns.REGION}:{account}:log-group:{group}"
    return How(f"for logs of {group} in {account}", {"kms:EncryptionContext:aws:logs:arn": arn})


def for_pods(service_account: str, namespace: str = "training", cluster: str | None = None) -> How:
    """The tags with which EKS Pod Identity takes a role for a pod."""
    cluster = cluster or arns.cluster()
    tags = {
        "eks-cluster-arn": cluster,
        "kubernetes-namespace": namespace,
        "kubernetes-service-account": service_account,
    }
    says = f"for {namespace}/{service_account} of {cluster.partition('eks:')[2]}"
    return How(says, {f"aws:RequestTag/{tag}": value for tag, value in tags.items()})


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        allowed: whether AWS must allow it.
        because_of: if so, each statement without which it would not, as `policy/statement`. If not, everything
            that keeps it out, each of which would do alone: a policy that grants nothing of the kind, a statement
            that denies it, or what narrows one that allows, as `policy/statement/Resource`, `…/Action` or a
            condition's key.
        stack: the settings with which the stack was declared.

    """

    who: Principal
    actions: tuple[str, ...]
    resource: str
    place: Place
    allowed: bool
    because_of: frozenset[str]
    how: How
    stack: str

    def __str__(self) -> str:
        """The row as a sentence."""
        verb = "may" if self.allowed else "may not"
        words = (self.who.says, verb, *self.actions, "on", self.resource, self.place.says, self.how.says)
        return " ".join(word for word in words if word) + (
            "" if self.stack == SHIPPED else f" ({self.stack})"
        )


def may(
    who: Principal,
    actions: str,
    resource: str,
    place: Place,
    *needs: str,
    how: How = _USUAL,
    stack: str = SHIPPED,
) -> Row:
    """A row that AWS must allow; `needs`: each statement without which it would not."""
    return Row(who, tuple(actions.split()), resource, place, True, frozenset(needs), how, stack)


def may_not(
    who: Principal,
    actions: str,
    resource: str,
    place: Place,
    *kept_out_by: str,
    how: How = _USUAL,
    stack: str = SHIPPED,
) -> Row:
    """A row that AWS must not allow; `kept_out_by`: everything that would have to go for it to be allowed."""
    return Row(who, tuple(actions.split()), resource, place, False, frozenset(kept_out_by), how, stack)
