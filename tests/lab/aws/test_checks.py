"""A mistake in a property is named in the preview, before anything is made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.aws.stand_in.differences import as_written, differences, same
from lab.aws.stand_in.policies import Kind, policy_faults
from lab.aws.stand_in.values import UNKNOWN
from tests.lab.aws.driver import AbortedError, Driver

CLUSTER = "aws:eks/cluster:Cluster"
ROLE_ARN = "arn:aws:iam::123456789012:role/x"
RIGHT = {"roleArn": ROLE_ARN, "vpcConfig": {"subnetIds": ["subnet-1"]}}
STATEMENT: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::x/*"}


@pytest.fixture(scope="module")
def driver() -> Driver:
    """A provider of a lab that is not there: checks need none."""
    return Driver({"endpoints": [{"eks": "http://127.0.0.1:1"}]})


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"rolArn": ROLE_ARN}, "`rolArn`: no such property; did you mean `roleArn`?"),
        (
            {"vpcConfig": {"subnetIds": ["a"], "securityGroupId": ["b"]}},
            "`vpcConfig.securityGroupId`: no such property; did you mean `securityGroupIds`?",
        ),
        (
            {"vpcConfig": {"subnet_ids": ["a"], "subnetIds": ["a"]}},
            "`vpcConfig.subnet_ids`: no such property; did you mean `subnet_ids`?",
        ),
        ({"roleArn": None}, "`roleArn`: is required and missing"),
        ({"vpcConfig": {}}, "`vpcConfig.subnetIds`: is required and missing"),
        ({"vpcConfig": {"subnetIds": "a"}}, "`vpcConfig.subnetIds`: expected a list, got the string 'a'"),
        (
            {"deletionProtection": "yes"},
            "`deletionProtection`: expected true or false, got the string 'yes'",
        ),
        ({"version": 1.36}, "`version`: expected a string, got the number 1.36"),
        ({"enabledClusterLogTypes": [7]}, "`enabledClusterLogTypes[0]`: expected a string, got the number 7"),
        ({"tags": ["a"]}, "`tags`: expected a mapping, got a list"),
        (
            {"accessConfig": {"authenticationMode": "IAM"}},
            "`accessConfig.authenticationMode`: 'IAM' is not one of API, API_AND_CONFIG_MAP, CONFIG_MAP",
        ),
        (
            {"defaultAddonsToRemoves": ["coredns"]},
            "`defaultAddonsToRemoves`: the stand-in does not support this property",
        ),
    ],
)
def test_a_mistake_is_named_with_its_path(driver: Driver, mistake: dict[str, Any], said: str) -> None:
    assert driver.failures(CLUSTER, RIGHT | mistake) == [said]


def test_what_is_right_or_not_known_yet_passes(driver: Driver) -> None:
    assert driver.failures(CLUSTER, RIGHT) == []
    assert driver.failures(CLUSTER, {"roleArn": UNKNOWN, "vpcConfig": {"subnetIds": [UNKNOWN]}}) == []
    assert driver.failures(CLUSTER, {"roleArn": UNKNOWN, "vpcConfig": UNKNOWN, "version": UNKNOWN}) == []


def test_an_unknown_name_is_unknown_in_the_preview_and_a_known_one_is_not(driver: Driver) -> None:
    told = driver.previewed(CLUSTER, RIGHT | {"tags": {"a": "b"}})
    assert told["endpoint"] == told["certificateAuthority"] == told["arn"] == UNKNOWN
    assert told["roleArn"] == ROLE_ARN
    assert told["name"].startswith("one-"), "named by itself"
    assert told["tagsAll"] == {"a": "b"}


def test_a_type_without_an_adapter_is_refused_by_name(driver: Driver) -> None:
    (said,) = driver.failures("aws:rds/instance:Instance", {})
    assert said.endswith("does not support the resource type aws:rds/instance:Instance")


def test_an_invalid_policy_is_named_for_each_way_in_which_a_type_has_one(driver: Driver) -> None:
    (said,) = driver.failures("aws:iam/role:Role", {"assumeRolePolicy": '{"Version": "2012-10-17",'})
    assert said.startswith("`assumeRolePolicy`: the policy document is not JSON: ")
    (said,) = driver.failures(
        "aws:iam/policy:Policy", {"policy": json.dumps({"Statement": {**STATEMENT, "Effect": "allow"}})}
    )
    assert said == "`policy`: Statement[0]: Effect is 'allow', neither 'Allow' nor 'Deny'"


def test_nothing_is_ever_called_without_the_endpoint_of_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for settings in ({}, {"endpoints": [{"iam": "https://iam.amazonaws.com"}]}):
        with pytest.raises(AbortedError, match="no lab endpoint for iam: the stand-in never calls AWS"):
            Driver(settings).create("aws:iam/rolePolicyAttachment:RolePolicyAttachment", ATTACHMENT)


ATTACHMENT = {"role": "x", "policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"}


@pytest.mark.parametrize(
    ("kind", "statement", "said"),
    [
        ("identity", {"Principal": "*"}, "Principal is not allowed in an identity policy"),
        ("identity", {"Resource": "x"}, "Resource 'x' is not an ARN"),
        ("identity", {"Action": "GetObject"}, "Action 'GetObject' is not of the form service:action"),
        ("identity", {"Actions": []}, "element Actions is missing"),
        ("identity", {"NotAction": "s3:*"}, "exactly one of Action and NotAction is required"),
        ("identity", {"Condition": "x"}, "Condition is not an object"),
        ("resource", {}, "exactly one of Principal and NotPrincipal is required"),
        ("trust", {"Principal": "*"}, "Resource is not allowed in a trust policy"),
    ],
)
def test_a_statement_that_aws_would_refuse_is_refused(kind: Kind, statement: Any, said: str) -> None:
    document = {"Version": "2012-10-17", "Statement": [STATEMENT, STATEMENT | statement]}
    assert f"Statement[1]: {said}" in list(policy_faults(json.dumps(document), kind))


def test_a_right_policy_has_no_fault() -> None:
    document = {"Version": "2012-10-17", "Statement": STATEMENT}
    assert list(policy_faults(json.dumps(document), "identity")) == []


def test_the_order_of_a_list_and_the_spaces_of_json_are_no_difference() -> None:
    assert same(["a", "b"], ["b", "a"])
    assert same([{"x": 1}, {"x": 2}], [{"x": 2}, {"x": 1}])
    assert same('{"a": 1}', '{ "a":1 }')
    assert not same("a b", "ab")
    assert list(differences({"a": {"b": 1}, "c": 1}, {"a": {"b": 2}, "d": 1})) == [
        ("a.b", "update"),
        ("c", "delete"),
        ("d", "add"),
    ]


def test_only_what_was_written_can_have_drifted() -> None:
    assert as_written({"a": 1}, {"a": 1, "made": "by AWS"}) == {"a": 1}
    assert as_written({"a": 1}, {"a": 2, "made": "by AWS"}) == {"a": 2}
    assert as_written(["a", "b"], ["b", "a"]) == ["a", "b"]
