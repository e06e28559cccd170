"""What a user of `pulumi` sees of a cloud in the lab: the real engine, from nothing to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from lab.aws import plugin

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws
    from tests.pulumi_project import PulumiProject

pytestmark = pytest.mark.slow


def found() -> dict[str, list[str]]:
    """What there is, asked by boto3, but what every account has."""
    ec2, eks = boto3.client("ec2"), boto3.client("eks")
    clusters = eks.list_clusters()["clusters"]
    return {
        "vpcs": [each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"] if not each["IsDefault"]],
        "clusters": clusters,
        "node groups": [
            group for name in clusters for group in eks.list_nodegroups(clusterName=name)["nodegroups"]
        ],
        "addons": [addon for name in clusters for addon in eks.list_addons(clusterName=name)["addons"]],
        "buckets": [each["Name"] for each in boto3.client("s3").list_buckets()["Buckets"]],
        "repositories": [
            each["repositoryName"] for each in boto3.client("ecr").describe_repositories()["repositories"]
        ],
        "roles": [each["RoleName"] for each in boto3.client("iam").list_roles()["Roles"]],
    }


# `make test` does this with the components: tests/components/aws/test_cloud.py.
@pytest.mark.soak
def test_a_cloud_goes_up_changes_drifts_is_mended_and_leaves_nothing(stack: PulumiProject) -> None:
    said = stack.up()
    if plugin.real_plugin() is None:
        assert said.partition("Diagnostics:")[2].count("the lab's stand-in for the AWS provider plugin") == 1
    there = found()
    assert {name: len(each) for name, each in there.items()} == {
        **dict.fromkeys(("vpcs", "clusters", "node groups", "addons", "buckets", "repositories"), 1),
        "roles": 2,
    }
    (bucket,), (cluster,), (group,) = there["buckets"], there["clusters"], there["node groups"]
    s3 = boto3.client("s3")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags == {"owner": "planted-9c1e", "project": "lab"}, "its own and the provider's"
    everything = b"".join(path.read_bytes() for path in stack.backend.rglob("*") if path.is_file())
    assert b"planted-9c1e" not in everything, "a secret tag is readable in no part of the state"

    said = stack.preview(nodes=3)
    assert "desiredSize: 2 => 3" in said
    assert "~ 1 to update" in said
    assert "21 unchanged" in said
    stack.up(nodes=3)
    eks = boto3.client("eks")
    who = {"clusterName": cluster, "nodegroupName": group}
    assert eks.describe_nodegroup(**who)["nodegroup"]["scalingConfig"]["desiredSize"] == 3

    boto3.client("ec2").create_tags(Resources=there["vpcs"], Tags=[{"Key": "Name", "Value": "by hand"}])
    eks.update_nodegroup_config(**who, scalingConfig={"desiredSize": 7, "minSize": 0, "maxSize": 8})
    s3.delete_bucket_policy(Bucket=bucket)
    said = stack.pulumi("refresh", "--yes", "--skip-preview", "--diff", nodes=3)
    assert '"lab" => "by hand"' in said
    assert "desiredSize: 3 => 7" in said
    assert "- aws:s3/bucketPolicy:BucketPolicy: (delete)" in said
    assert "19 unchanged" in said
    said = stack.up(nodes=3)
    assert "+ 1 created" in said
    assert "~ 2 updated" in said
    assert "19 unchanged" in said
    assert eks.describe_nodegroup(**who)["nodegroup"]["scalingConfig"]["desiredSize"] == 3
    assert stack.unchanged(nodes=3)

    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert not any(found().values())


TRUST = '{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "x"}}}'


MISTAKES = {"policy": TRUST[:-1], "nam": "x", "name": 7}
"""Of a role's policy, which also needs the role."""


@pytest.mark.parametrize(
    ("token", "arguments", "said"),
    [
        (
            "aws:iam/rolePolicy:RolePolicy",
            MISTAKES,
            [
                "`nam`: no such property; did you mean `name`?",
                "`name`: expected a string, got the number 7",
                "`role`: is required and missing",
                "`policy`: the policy document is not JSON",
            ],
        ),
        (
            "aws:rds/instance:Instance",
            {},
            ["does not support the resource type aws:rds/instance:Instance"],
        ),
    ],
)
def test_a_mistake_fails_the_preview_with_a_message_that_names_it(
    stack: PulumiProject, token: str, arguments: dict[str, Any], said: list[str]
) -> None:
    if plugin.real_plugin() is not None:
        pytest.skip("needs the stand-in: the real plugin has words of its own")
    told = stack.pulumi("preview", check=False, only=[[token, arguments]])
    assert [each for each in said if each not in told] == []
    assert "Traceback" not in told
    assert not any(found().values()), "nothing was made"


def test_a_subnet_that_does_not_exist_fails_the_update_by_its_name(stack: PulumiProject) -> None:
    role = boto3.client("iam").create_role(RoleName="x", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    arguments = {"roleArn": role, "vpcConfig": {"subnetIds": ["subnet-0123456789abcdef0"]}}
    told = stack.up(check=False, only=[["aws:eks/cluster:Cluster", arguments]])
    assert "The subnet ID 'subnet-0123456789abcdef0' does not exist" in told
    assert found()["clusters"] == []


def test_a_lab_that_is_down_is_one_line(stack: PulumiProject, aws: Aws) -> None:
    file = stack.path / "Pulumi.test.yaml"
    file.write_text(file.read_text().replace(aws.endpoint, "http://127.0.0.1:9"))
    told = stack.up(check=False, only=[["aws:s3/bucket:Bucket", {}]])
    assert 'EndpointConnectionError: Could not connect to the endpoint URL: "http://127.0.0.1:9' in told
