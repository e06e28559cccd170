"""What is dangerous, and what only looks like it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.rule import UNKNOWN
from previews.dangers import dangers_of
from tests.previews.test_comment import changes, event

GROUP, POLICY = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws:iam/rolePolicy:RolePolicy"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/*"}
MINE = {"StringEquals": {"aws:PrincipalAccount": "1"}}


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        (
            GROUP,
            {"cidrIpv4": "10.0.0.0/16"},
            {"cidrIpv4": "0.0.0.0/0"},
            ["wider network access: `0.0.0.0/0`"],
        ),
        (GROUP, {"cidrIpv4": "10.0.0.0/16"}, {"cidrIpv4": "10.0.1.0/24"}, []),
        (
            GROUP,
            {"cidrIpv4": "10.0.0.0/16"},
            {"cidrIpv4": "10.1.0.0/24"},
            ["wider network access: `10.1.0.0/24`"],
        ),
        (
            "aws:eks/cluster:Cluster",
            {"vpcConfig": {"endpointPublicAccess": False}},
            {"vpcConfig": {"endpointPublicAccess": True}},
            ["wider network access: the cluster's API gets an address on the internet"],
        ),
        (POLICY, policy(READ), policy(READ, {**READ, "Action": "s3:*"}), ["its holder may `s3:*`"]),
        (POLICY, policy({**READ, "Condition": MINE}), policy(READ), ["its holder may `s3:GetObject`"]),
        (POLICY, policy(READ, {**READ, "Action": "s3:*"}), policy(READ), []),
        (POLICY, policy(READ), policy(READ, {**READ, "Effect": "Deny", "Action": "s3:*"}), []),
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            policy(READ, {**READ, "Effect": "Deny", "Principal": "*"}),
            policy(READ),
            ["* is no longer denied `s3:GetObject`"],
        ),
        (
            POLICY,
            policy({**READ, "Effect": "Deny"}),
            policy({**READ, "Effect": "Deny", "Condition": MINE}),
            ["its holder is no longer denied `s3:GetObject`"],
        ),
        (
            POLICY,
            policy(READ),
            policy(READ, {"Effect": "Allow", "NotAction": ["iam:*", "s3:*"], "NotResource": "arn:b"}),
            ["its holder may anything but `iam:*, s3:*` on `anything but arn:b`"],
        ),
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            policy(READ),
            policy(READ, {**READ, "NotPrincipal": {"AWS": "arn:x"}}),
            ['anybody but {"AWS": "arn:x"} may `s3:GetObject`'],
        ),
        (
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
            {"blockPublicAcls": True, "blockPublicPolicy": True},
            {"blockPublicAcls": True, "blockPublicPolicy": False},
            ["`blockPublicPolicy` is no longer on"],
        ),
        (POLICY, policy(READ), {"policy": UNKNOWN}, ["permissions that are not known yet"]),
        (POLICY, policy(READ), {"policy": "{"}, ["permissions that are not known yet"]),
        ("aws:ec2/vpc:Vpc", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}, []),
    ],
)
def test_wider_access_is_told_from_narrower_and_from_what_is_not_known(
    kind: str, old: dict[str, Any], new: dict[str, Any], expected: list[str]
) -> None:
    told = changes(event("update", kind, "one", old, new))
    # What becomes unknown does so through something that changes; here nothing says through what.
    found = dangers_of(told)
    if UNKNOWN in new.values():
        assert told.changing == []
        return
    assert len(found) == len(expected)
    for words, danger in zip(expected, found, strict=True):
        assert words in danger


@pytest.mark.parametrize(
    ("op", "kind", "words"),
    [
        ("replace", "aws:eks/cluster:Cluster", "replaces the cluster with all that runs in it"),
        ("delete", "aws:kms/key:Key", "deletes a key, and with it all that it encrypts"),
        (
            "replace",
            "pulumi-python:dynamic/credentials:CertificateAuthority",
            "every client has to trust the new",
        ),
        ("delete", "pulumi-python:dynamic/credentials:SigningKey", "deletes a signing key"),
        (
            "delete",
            "aws:s3/bucketPolicy:BucketPolicy",
            "removes a bucket's policy, and with it all that it denies",
        ),
        (
            "delete",
            "kubernetes:networking.k8s.io/v1:NetworkPolicy",
            "removes the limits of what pods may reach",
        ),
    ],
)
def test_what_is_lost_is_named(op: str, kind: str, words: str) -> None:
    new = None if op == "delete" else {"name": "b"}
    (danger,) = dangers_of(changes(event(op, kind, "one", {"name": "a"}, new)))
    assert words in danger


def test_a_new_stack_takes_nothing_away() -> None:
    new = policy({**READ, "Action": "*"})
    assert dangers_of(changes(event("create", POLICY, "one", None, new), new=True)) == []
