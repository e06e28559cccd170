"""Policy documents of IAM, KMS, S3 and VPC endpoints, KMS keys, and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import iam, kms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.location import Location

Statement = dict[str, Any]
"""One statement; its values may be outputs."""

_KEY_ADMINISTRATION = tuple(
    f"kms:{action}"
    for action in (
        *("DescribeKey", "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "GetKeyRotationStatus"),
        *("EnableKeyRotation", "DisableKeyRotation", "EnableKey", "DisableKey", "UpdateKeyDescription"),
        *("TagResource", "UntagResource", "ListResourceTags", "CreateAlias", "UpdateAlias", "DeleteAlias"),
        *("ScheduleKeyDeletion", "CancelKeyDeletion", "CreateGrant", "ListGrants", "RetireGrant"),
        "RevokeGrant",
    )
)
KEY_USE = tuple(
    f"kms:{action}"
    for action in ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")
)
"""KMS operations that encrypt and decrypt."""
_KEY_SIGNING = ("kms:DescribeKey", "kms:GetPublicKey", "kms:Sign", "kms:Verify")
_WAITING_DAYS = 7
"""Waiting period before KMS deletes a key: the minimum allowed."""


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """Return a policy in JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, *actions: str, condition: Statement | None = None) -> pulumi.Output[str]:
    """Return the policy of a role that an AWS service assumes."""
    statement: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(actions or ("sts:AssumeRole",)),
    }
    return document([statement | ({"Condition": condition} if condition else {})])


def role(
    name: str, location: Location, trusted: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
) -> iam.Role:
    """Declare a role by the account's rules for roles; `trusted` is the policy of who assumes it."""
    return iam.Role(
        name,
        assume_role_policy=trusted,
        path=location.role_path if location.role_path != "/" else None,
        permissions_boundary=location.boundary,
        opts=opts,
    )


def customer_key(
    name: str,
    location: Location,
    purpose: str,
    *,
    statements: Sequence[Statement] = (),
    opts: pulumi.ResourceOptions | None = None,
) -> kms.Key:
    """Declare a customer-managed symmetric key, rotated yearly.

    The account's IAM policies decide who administers and uses it; its own policy lists each action, so that
    actions KMS adds later are not included. In a key policy AWS requires `Resource: *`, which means this key.

    Args:
        name: the resource's name.
        location: account and region.
        purpose: what it encrypts, shown in the console.
        statements: additional permissions.
        opts: the resource's options.

    """
    return kms.Key(
        name,
        description=purpose,
        enable_key_rotation=True,
        deletion_window_in_days=_WAITING_DAYS,
        policy=document([_account(location, KEY_USE), *statements]),
        tags={"Name": name},
        opts=opts,
    )


def signing_key(
    name: str, location: Location, purpose: str, *, opts: pulumi.ResourceOptions | None = None
) -> kms.Key:
    """Declare a customer-managed key that signs, ECDSA on P-256 with SHA-256; KMS does not rotate such keys."""
    return kms.Key(
        name,
        description=purpose,
        customer_master_key_spec="ECC_NIST_P256",
        key_usage="SIGN_VERIFY",
        deletion_window_in_days=_WAITING_DAYS,
        policy=document([_account(location, _KEY_SIGNING)]),
        tags={"Name": name},
        opts=opts,
    )


def _account(location: Location, use: Sequence[str]) -> Statement:
    return {
        "Sid": "TheAccountsPoliciesDecide",
        "Effect": "Allow",
        "Principal": {"AWS": location.root},
        "Action": sorted({*_KEY_ADMINISTRATION, *use}),
        "Resource": "*",
    }
