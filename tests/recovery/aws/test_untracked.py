"""What a killed update made and did not note is found by its tag."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from recovery.aws import untracked

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

REGION = "eu-central-1"
TAGS = [{"Key": "scenario:stack", "Value": "mine"}]
ASKED = ["untracked", "--region", REGION, "--tag", "scenario:stack=mine"]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, in this process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("sys.argv", ASKED)
    with mock_aws():
        yield


def vpc() -> str:
    tagged = [{"ResourceType": "vpc", "Tags": TAGS}]
    made = boto3.client("ec2").create_vpc(CidrBlock="10.80.0.0/16", TagSpecifications=tagged)
    return str(made["Vpc"]["VpcId"])


def exported(*resources: dict[str, object]) -> io.StringIO:
    return io.StringIO(json.dumps({"deployment": {"resources": list(resources)}}))


@pytest.mark.usefixtures("account")
def test_what_is_tagged_and_in_no_state_is_named_and_the_rest_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noted, lost = vpc(), vpc()
    s3, iam = boto3.client("s3"), boto3.client("iam")
    s3.create_bucket(Bucket="releases-1", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket="releases-1", Tagging={"TagSet": TAGS})
    role = iam.create_role(RoleName="trainer", AssumeRolePolicyDocument="{}", Tags=TAGS)["Role"]["Arn"]
    known: list[dict[str, object]] = [
        {"id": noted},
        {"id": "releases-1"},
        {"id": "trainer", "outputs": {"arn": role}},
    ]
    monkeypatch.setattr("sys.stdin", exported(*known))
    with pytest.raises(SystemExit, match=f"1 of scenario:stack=mine are not in the state.*\n  vpc {lost}$"):
        untracked.main()
    monkeypatch.setattr("sys.stdin", exported(*known, {"id": lost}))
    untracked.main()
    assert "everything in eu-central-1 that carries" in capsys.readouterr().out


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "standard input is not JSON; pipe `pulumi stack export` into it"),
        ("[]", "standard input is not a `pulumi stack export`"),
    ],
)
def test_what_is_no_export_is_refused(given: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    with pytest.raises(SystemExit, match=said):
        untracked.main()
