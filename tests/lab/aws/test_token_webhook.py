"""A token of `aws eks get-token` is whose it is, and may do what the access entries say."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.signers import RequestSigner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.aws.lifecycle import Aws

pytestmark = pytest.mark.slow

TRUST = json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}})


def get_token(session: boto3.Session, host: str = "sts.eu-central-1.amazonaws.com", **changed: Any) -> str:
    """What `aws eks get-token --cluster-name c` prints: the same call of botocore as the AWS CLI makes."""
    client = session.client("sts")
    credentials = session.get_credentials()
    signer = RequestSigner(
        client.meta.service_model.service_id, "eu-central-1", "sts", "v4", credentials, session.events
    )
    request = {
        "method": "GET",
        "url": f"https://{host}/?Action={changed.get('action', 'GetCallerIdentity')}&Version=2011-06-15",
        "body": {},
        "headers": changed.get("headers", {"x-k8s-aws-id": "c"}),
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name="eu-central-1", expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def review(api: Aws, token: str) -> dict[str, Any]:
    """What kube-apiserver does with a bearer token that it does not know."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    request = urllib.request.Request(api.token_webhook, json.dumps(asked).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.load(answer)
    assert told["apiVersion"] == asked["apiVersion"]
    status: dict[str, Any] = told["status"]
    return status


@pytest.fixture
def role(aws_api: Aws) -> Iterator[boto3.Session]:
    """A session of a role `dev`, in an account that has a cluster `c`; all gone afterwards."""
    ec2, iam = boto3.client("ec2"), boto3.client("iam")
    arn = iam.create_role(RoleName="dev", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    boto3.client("eks").create_cluster(name="c", roleArn=arn, resourcesVpcConfig={"subnetIds": [subnet]})
    given = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    yield boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    boto3.client("eks").delete_cluster(name="c")
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    iam.delete_role(RoleName="dev")


def test_who_made_the_cluster_is_its_administrator(aws_api: Aws, role: boto3.Session) -> None:
    status = review(aws_api, get_token(boto3.Session()))
    assert status["authenticated"]
    assert status["user"]["groups"] == ["system:masters"]


def test_a_role_gets_in_by_its_access_entry_with_those_groups_alone(
    aws_api: Aws, role: boto3.Session
) -> None:
    who = {"clusterName": "c", "principalArn": "arn:aws:iam::123456789012:role/dev"}
    token = get_token(role)
    before = review(aws_api, token)
    assert not before["authenticated"]
    assert before["error"] == f"{who['principalArn']} has no access entry in any EKS cluster of the lab"
    eks = boto3.client("eks")
    eks.create_access_entry(**who, kubernetesGroups=["developers"])
    user = review(aws_api, token)["user"]
    assert user["username"] == user["uid"] == who["principalArn"]
    assert user["groups"] == ["developers"]
    for name, scope in (
        ("View", {"type": "cluster"}),
        ("Edit", {"type": "namespace", "namespaces": ["training"]}),
    ):
        policy = f"arn:aws:eks::aws:cluster-access-policy/AmazonEKS{name}Policy"
        eks.associate_access_policy(**who, policyArn=policy, accessScope=scope)
    groups = {"developers", "lab:AmazonEKSViewPolicy", "lab:AmazonEKSEditPolicy:training"}
    assert set(review(aws_api, token)["user"]["groups"]) == groups
    eks.delete_access_entry(**who)
    assert not review(aws_api, token)["authenticated"]


def test_a_token_does_not_choose_whom_the_webhook_asks(aws_api: Aws, role: boto3.Session) -> None:
    status = review(aws_api, get_token(boto3.Session(), host="127.0.0.1:9"))
    assert status["authenticated"], "the lab's own STS was asked"


@pytest.mark.parametrize("token", ["", "x", "k8s-aws-v1.", "k8s-aws-v1.%%%", "k8s-aws-v1.aHR0cDovL3g"])
def test_rubbish_is_nobody(aws_api: Aws, token: str) -> None:
    status = review(aws_api, token)
    assert not status["authenticated"]
    assert status["error"].startswith(
        ("not a token of aws eks get-token", "the token is not a presigned GetCallerIdentity request")
    )


def test_another_presigned_question_is_nobody(aws_api: Aws, role: boto3.Session) -> None:
    for token in (get_token(boto3.Session(), action="AssumeRole"), get_token(boto3.Session(), headers={})):
        assert (
            review(aws_api, token)["error"]
            == "the token is not a presigned GetCallerIdentity request for a cluster"
        )
