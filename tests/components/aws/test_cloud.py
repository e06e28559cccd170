"""The whole AWS side on the real engine, looked at as a security reviewer would; then it is all gone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.components.aws import reviewer
from tests.components.aws.conftest import TAG
from tests.pulumi_project import ROOT

if TYPE_CHECKING:
    from tests.pulumi_project import PulumiProject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def still_tagged() -> tuple[int, str]:
    """Ask the teardown proof, as a user does; return its exit status and words."""
    ((key, value),) = TAG.items()
    asked = ["--region", "eu-central-1", "--tag", f"{key}={value}", "--wait", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "recovery.aws.tagged", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def review_the_network(vpc: str) -> None:
    assert reviewer.open_to_the_world(vpc) == []
    ec2 = boto3.client("ec2")
    wanted = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    (default,) = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    assert (default["IpPermissions"], default["IpPermissionsEgress"]) == ([], [])
    for template in reviewer.templates():
        assert template["MetadataOptions"]["HttpTokens"] == "required"
        assert template["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert all(disk["Ebs"]["Encrypted"] for disk in template["BlockDeviceMappings"])
        assert not any(each["AssociatePublicIpAddress"] for each in template.get("NetworkInterfaces", []))
    (wired,) = [each for each in reviewer.templates() if each["InstanceType"] == "p5.48xlarge"]
    kinds = [each["InterfaceType"] for each in wired["NetworkInterfaces"]]
    assert (kinds.count("interface"), kinds.count("efa-only")) == (1, 32)


def review_the_cluster(name: str, key: str) -> None:
    eks = boto3.client("eks")
    found = eks.describe_cluster(name=name)["cluster"]
    reach = found["resourcesVpcConfig"]
    assert (reach["endpointPublicAccess"], reach["endpointPrivateAccess"]) == (False, True)
    assert found["encryptionConfig"] == [{"provider": {"keyArn": key}, "resources": ["secrets"]}]
    assert found["accessConfig"]["authenticationMode"] == "API"
    logged = [each["types"] for each in found["logging"]["clusterLogging"] if each["enabled"]]
    assert [len(each) for each in logged] == [5]
    (admin,) = eks.list_access_entries(clusterName=name)["accessEntries"]
    assert admin.endswith("user/moto"), "the one that was named; who made it is let in by that alone"
    (logs,) = boto3.client("logs").describe_log_groups()["logGroups"]
    assert (logs["kmsKeyId"], logs["retentionInDays"]) == (key, 90)
    used = {
        group: {
            security_group
            for template in reviewer.templates()
            for security_group in template.get("SecurityGroupIds", [])
            + [each for wire in template.get("NetworkInterfaces", []) for each in wire["Groups"]]
        }
        for group in eks.list_nodegroups(clusterName=name)["nodegroups"]
    }
    assert all(reach["clusterSecurityGroupId"] in groups for groups in used.values())


def review_the_bucket(bucket: str, key: str, endpoint: str) -> None:
    s3 = boto3.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(blocked.values())
    assert len(blocked) == 4
    policy = {
        each["Sid"]: each for each in json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    }
    assert {each["Effect"] for each in policy.values()} == {"Deny"}
    assert policy["PlainHttp"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert policy["OnlyThroughTheNetwork"]["Condition"]["StringNotEquals"] == {"aws:SourceVpce": endpoint}


def review_the_rest() -> None:
    kms = boto3.client("kms")
    rotated = [kms.get_key_rotation_status(KeyId=each) for each in reviewer.customer_keys()]
    assert [each["KeyRotationEnabled"] for each in rotated] == [True, True, True]
    (repository,) = boto3.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["encryptionConfiguration"]["encryptionType"] == "KMS"
    (budget,) = boto3.client("budgets").describe_budgets(AccountId="123456789012")["Budgets"]
    assert budget["BudgetLimit"] == {"Amount": "500.0", "Unit": "USD"}


def groups_of(cluster: str) -> list[dict[str, Any]]:
    eks = boto3.client("eks")
    names = eks.list_nodegroups(clusterName=cluster)["nodegroups"]
    return [eks.describe_nodegroup(clusterName=cluster, nodegroupName=each)["nodegroup"] for each in names]


def test_a_cloud_passes_review_scales_without_drift_and_leaves_nothing(cloud: PulumiProject) -> None:
    cloud.up(protect=True)
    made = json.loads(cloud.pulumi("stack", "output", "--json", "--show-secrets"))
    review_the_network(made["vpc"])
    review_the_cluster(made["cluster"], made["key"])
    review_the_bucket(made["bucket"], made["bucket_key"], made["s3_endpoint"])
    review_the_rest()
    assert reviewer.wildcards() == []
    assert reviewer.attached() == reviewer.MANAGED

    # What an autoscaler does, and a node group of another type.
    boto3.client("eks").update_nodegroup_config(
        clusterName=made["cluster"],
        nodegroupName=made["nodes"],
        scalingConfig={"minSize": 0, "maxSize": 4, "desiredSize": 3},
    )
    cloud.pulumi("refresh", "--yes", "--skip-preview")
    said = json.loads(cloud.pulumi("preview", "--json", instance_type="p5en.48xlarge", protect=True))
    changed = [step for step in said["steps"] if step["op"] not in {"same", "refresh"}]
    assert {step["urn"].rpartition("$")[2] for step in changed} == {
        "aws:ec2/launchTemplate:LaunchTemplate::gpus",
        "aws:eks/nodeGroup:NodeGroup::gpus",
    }
    assert {step["op"] for step in changed} <= {"replace", "create-replacement", "delete-replaced"}
    assert set(said["changeSummary"]) == {"same", "replace"}
    assert cloud.unchanged(protect=True), "three nodes where none were written are no drift"

    choice: dict[str, Any] = {
        "instance_type": "g6.2xlarge",
        "other_types": ["g5.2xlarge", "g6e.2xlarge"],
        "zones_of_nodes": 2,
    }
    cloud.up(protect=True, **choice)
    (group,) = [each for each in groups_of(made["cluster"]) if "gpus" in each["nodegroupName"]]
    assert group["instanceTypes"] == ["g6.2xlarge", "g5.2xlarge", "g6e.2xlarge"], "in their order"
    assert len(group["subnets"]) == 2
    assert cloud.unchanged(protect=True, **choice)

    boto3.client("s3").put_object(Bucket=made["bucket"], Key="releases/a", Body=b"weights")
    said = cloud.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert "releases" in said
    assert "protected" in said
    status, said = still_tagged()
    assert status == 1
    left = {line.strip() for line in said.splitlines()[1:]}
    assert {f"arn:aws:s3:::{made['bucket']}", made["bucket_key"], f"vpc {made['vpc']}"} < left
    # What the bucket's policy names, and what that is in: nothing that is paid by the hour.
    others = {each.split()[0] for each in left if not each.startswith("arn:")}
    assert others == {"route-table", "security-group", "vpc", "vpc-endpoint"}
    review_the_bucket(made["bucket"], made["bucket_key"], made["s3_endpoint"])
    cloud.up(protect=False)
    cloud.pulumi("destroy", "--yes", "--skip-preview")
    assert still_tagged() == (0, "nothing in eu-central-1 carries scenario:stack=cloud-under-test\n")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"region": "eu-centrl-1"}, "there is no AWS region 'eu-centrl-1'; did you mean 'eu-central-1'?"),
        ({"instance_type": "p5.48xlage"}, "instance type 'p5.48xlage' is not in the table"),
        (
            {"capacity": {"kind": "capacity-block", "reservation": "cr-0123456789abcdef0"}},
            "the Capacity Block cr-0123456789abcdef0 needs its end: a time with a time zone",
        ),
        ({"demand": {"gpus": 9}}, "a pod requests 9 GPUs, but a p5.48xlarge node has 8 for it"),
    ],
)
def test_a_mistake_is_one_clear_error_of_the_preview(
    cloud: PulumiProject, wrong: dict[str, Any], said: str
) -> None:
    told = cloud.pulumi("preview", check=False, **wrong)
    errors = [line for line in told.splitlines() if "error:" in line]
    assert len({line.partition("error:")[2] for line in errors}) == 1, told
    assert said in errors[0]
    assert "Traceback" not in told
    assert boto3.client("eks").list_clusters()["clusters"] == []
