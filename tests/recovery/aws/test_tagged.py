"""The teardown proof finds what is tagged and there, and nothing that is gone, going, or another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from recovery.aws import tagged
from recovery.aws.tagged import Tag, tagged_resources

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

REGION = "eu-central-1"
MINE, OTHERS = Tag(key="scenario:stack", value="mine"), Tag(key="scenario:stack", value="others")
TAGS = [{"Key": MINE.key, "Value": MINE.value}]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, in this process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def of_ec2(kind: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": TAGS}]}


@pytest.mark.usefixtures("account")
def test_what_ec2_only_remembers_the_tags_of_is_gone() -> None:
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16", **of_ec2("vpc"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.1.0/24", **of_ec2("subnet"))["Subnet"]["SubnetId"]
    door = {"VpcId": vpc, "ServiceName": f"com.amazonaws.{REGION}.s3", "VpcEndpointType": "Gateway"}
    endpoint = ec2.create_vpc_endpoint(**door, **of_ec2("vpc-endpoint"))["VpcEndpoint"]["VpcEndpointId"]
    template = ec2.create_launch_template(
        LaunchTemplateName="gpus",
        LaunchTemplateData={"InstanceType": "m7i.large"},
        **of_ec2("launch-template"),
    )["LaunchTemplate"]["LaunchTemplateId"]
    group = ec2.create_security_group(
        GroupName="fabric", Description="x", VpcId=vpc, **of_ec2("security-group")
    )["GroupId"]
    made = [f"subnet {subnet}", f"vpc {vpc}", f"vpc-endpoint {endpoint}", f"launch-template {template}"]
    assert tagged_resources(boto3.Session(region_name=REGION), MINE) == sorted(
        [*made, f"security-group {group}"]
    )
    assert tagged_resources(boto3.Session(region_name=REGION), OTHERS) == []
    ec2.delete_security_group(GroupId=group)
    ec2.delete_launch_template(LaunchTemplateId=template)
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    ec2.delete_subnet(SubnetId=subnet)
    assert tagged_resources(boto3.Session(region_name=REGION), MINE) == [f"vpc {vpc}"]
    ec2.delete_vpc(VpcId=vpc)
    assert tagged_resources(boto3.Session(region_name=REGION), MINE) == []


@pytest.mark.usefixtures("account")
def test_buckets_keys_images_roles_and_clusters_are_found_and_keys_on_their_way_out_are_not() -> None:
    s3, kms, iam = boto3.client("s3"), boto3.client("kms"), boto3.client("iam")
    s3.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket="releases", Tagging={"TagSet": TAGS})
    key = kms.create_key(Tags=[{"TagKey": MINE.key, "TagValue": MINE.value}])["KeyMetadata"]["Arn"]
    images = boto3.client("ecr").create_repository(repositoryName="s2/model", tags=TAGS)
    role = iam.create_role(RoleName="trainer", AssumeRolePolicyDocument="{}", Tags=TAGS)["Role"]["Arn"]
    iam.create_role(RoleName="somebody-elses", AssumeRolePolicyDocument="{}")
    found = tagged_resources(boto3.Session(region_name=REGION), MINE)
    assert found == sorted(["arn:aws:s3:::releases", key, images["repository"]["repositoryArn"], role])
    # By its ID: moto takes an ARN here for no key.
    kms.schedule_key_deletion(KeyId=key.rpartition("/")[2], PendingWindowInDays=7)
    assert key not in tagged_resources(boto3.Session(region_name=REGION), MINE)


@pytest.mark.usefixtures("account")
def test_the_command_names_what_is_left_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["tagged", "--region", REGION, "--tag", "scenario:stack=mine", "--wait", "0"]
    monkeypatch.setattr("sys.argv", asked)
    tagged.main()
    assert capsys.readouterr().out == f"nothing in {REGION} carries scenario:stack=mine\n"
    vpc = boto3.client("ec2").create_vpc(CidrBlock="10.80.0.0/16", **of_ec2("vpc"))["Vpc"]["VpcId"]
    with pytest.raises(SystemExit, match=f"1 of scenario:stack=mine still exist:\n  vpc {vpc}"):
        tagged.main()
    monkeypatch.setattr("sys.argv", [*asked[:-3], "mine", "--wait", "0"])
    with pytest.raises(SystemExit, match="invalid --tag 'mine'; write KEY=VALUE"):
        tagged.main()
