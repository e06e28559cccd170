"""What a killed update made in AWS and did not note becomes a resource of the stack."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.eks.models import eks_backends

from recovery import RecoveryError
from recovery.aws import import_pending

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

REGION = "eu-central-1"
PROVIDER = "urn:pulumi:mine::project::pulumi:providers:aws::default"
SETTINGS = {"region": REGION, "defaultTags": json.dumps({"tags": {"scenario:stack": "mine"}})}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, in this process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def begun(kind: str, called: str, /, **inputs: object) -> dict[str, Any]:
    resource = {
        "urn": f"urn:pulumi:mine::project::{kind}::{called}",
        "custom": True,
        "type": kind,
        "inputs": inputs,
        "provider": f"{PROVIDER}::1",
    }
    return {"type": "creating", "resource": resource}


def export(*pending: dict[str, Any], **settings: str) -> dict[str, Any]:
    provider = {
        "urn": PROVIDER,
        "id": "1",
        "type": "pulumi:providers:aws",
        "inputs": SETTINGS | settings,
    }
    return {"deployment": {"resources": [provider], "pending_operations": list(pending)}}


def tagged(kind: str, name: str, stack: str = "mine") -> list[dict[str, Any]]:
    tags = [{"Key": "scenario:stack", "Value": stack}, {"Key": "Name", "Value": name}]
    return [{"ResourceType": kind, "Tags": tags}]


def found(exported: dict[str, Any]) -> dict[str, str]:
    """The IDs of what is in the state, by name; the provider left out."""
    return {each["urn"].rpartition("::")[2]: each["id"] for each in exported["deployment"]["resources"][1:]}


def test_a_load_balancer_and_what_belongs_to_it_are_found_by_the_tags_that_it_keeps_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.0.0/24")["Subnet"]["SubnetId"]

    def named(name: str) -> list[dict[str, str]]:
        return [{"Key": "scenario:stack", "Value": "mine"}, {"Key": "Name", "Value": name}]

    balancer = elb.create_load_balancer(
        Name="one", Type="network", Scheme="internal", Subnets=[subnet], Tags=named("serving")
    )["LoadBalancers"][0]["LoadBalancerArn"]
    targets = {
        name: elb.create_target_group(Name=name, Protocol="TCP", Port=port, VpcId=vpc, Tags=named(name))[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for name, port in (("catalogue", 30944), ("endpoint", 30943))
    }
    forward = [{"Type": "forward", "TargetGroupArn": targets["endpoint"]}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="TCP", Port=30943, DefaultActions=forward, Tags=named("endpoint")
    )["Listeners"][0]["ListenerArn"]
    # AWS's tagging service lists them; moto's does not.
    arns = [balancer, listener, *targets.values()]
    monkeypatch.setattr(import_pending, "tagged_resources", lambda *_: arns)
    exported = export(
        begun("aws:lb/loadBalancer:LoadBalancer", "serving", tags={"Name": "serving"}),
        begun("aws:lb/targetGroup:TargetGroup", "targets", tags={"Name": "endpoint"}),
        begun("aws:lb/listener:Listener", "listener", tags={"Name": "endpoint"}),
        begun("aws:lb/listener:Listener", "never made", tags={"Name": "catalogue"}),
    )
    import_pending.import_pending(exported)
    assert found(exported) == {"serving": balancer, "targets": targets["endpoint"], "listener": listener}


def test_what_was_made_is_found_by_its_tags_among_others_like_it() -> None:
    ec2, kms = boto3.client("ec2"), boto3.client("kms")
    mine = ec2.create_vpc(CidrBlock="10.80.0.0/16", TagSpecifications=tagged("vpc", "net"))["Vpc"]["VpcId"]
    ec2.create_vpc(CidrBlock="10.81.0.0/16", TagSpecifications=tagged("vpc", "net", "another"))
    groups = {
        name: ec2.create_security_group(
            GroupName=name, Description=name, VpcId=mine, TagSpecifications=tagged("security-group", name)
        )["GroupId"]
        for name in ("fabric", "endpoints")
    }
    tags = [{"TagKey": "scenario:stack", "TagValue": "mine"}, {"TagKey": "Name", "TagValue": "disks"}]
    key = kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    exported = export(
        begun("aws:ec2/vpc:Vpc", "net", tags={"Name": "net"}),
        begun("aws:ec2/securityGroup:SecurityGroup", "fabric", tags={"Name": "fabric"}),
        begun("aws:ec2/securityGroup:SecurityGroup", "other", tags={"Name": "other"}),
        begun("aws:kms/key:Key", "disks", tags={"Name": "disks"}),
    )
    told = import_pending.import_pending(exported)
    assert told == [
        f"Vpc net is {mine}",
        f"SecurityGroup fabric is {groups['fabric']}",
        f"Key disks is {key}",
    ]
    assert found(exported) == {"net": mine, "fabric": groups["fabric"], "disks": key}
    (left,) = exported["deployment"]["pending_operations"]
    assert left["resource"]["inputs"] == {"tags": {"Name": "other"}}, "AWS knows nothing of it"


def test_two_of_the_same_name_are_left_to_whoever_can_tell_them_apart() -> None:
    ec2 = boto3.client("ec2")
    for _ in range(2):
        ec2.create_vpc(CidrBlock="10.80.0.0/16", TagSpecifications=tagged("vpc", "net"))
    exported = export(begun("aws:ec2/vpc:Vpc", "net", tags={"Name": "net"}))
    assert import_pending.import_pending(exported) == []
    assert found(exported) == {}


def test_what_was_to_replace_another_is_left_to_be_made_anew() -> None:
    group = begun("aws:eks/nodeGroup:NodeGroup", "gpus", clusterName="training", nodeGroupName="gpus-2")
    exported = export(group)
    exported["deployment"]["resources"].append(group["resource"] | {"id": "training:gpus-1"})
    assert import_pending.import_pending(exported) == []
    assert found(exported) == {"gpus": "training:gpus-1"}


def test_a_name_from_the_settings_is_ours_only_with_the_tag() -> None:
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="team/model", tags=[{"Key": "scenario:stack", "Value": "mine"}])
    ecr.create_repository(repositoryName="model")
    kind = "aws:ecr/repository:Repository"
    exported = export(begun(kind, "ours", name="team/model"), begun(kind, "theirs", name="model"))
    import_pending.import_pending(exported)
    assert found(exported) == {"ours": "team/model"}


def new_cluster() -> None:
    network = {"subnetIds": ["subnet-1"]}
    role = "arn:aws:iam::123456789012:role/one"
    boto3.client("eks").create_cluster(
        name="training", roleArn=role, resourcesVpcConfig=network, tags={"scenario:stack": "mine"}
    )
    boto3.client("eks").create_nodegroup(
        clusterName="training", nodegroupName="gpus-1a2b3c4", nodeRole=role, subnets=["subnet-1"]
    )


def test_what_is_inside_of_something_of_ours_is_named_by_it() -> None:
    new_cluster()
    group = {"clusterName": "training", "nodeGroupName": "gpus-1a2b3c4"}
    never = {"clusterName": "training", "nodeGroupName": "system-1a2b3c4"}
    exported = export(
        begun("aws:eks/nodeGroup:NodeGroup", "gpus", **group),
        begun("aws:eks/nodeGroup:NodeGroup", "never made", **never),
        begun("aws:iam/rolePolicy:RolePolicy", "trainer", role="trainer-1", name="trainer-2"),
        begun("aws:ec2/routeTableAssociation:RouteTableAssociation", "way", subnetId="s", routeTableId="r"),
        begun("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "again", role="trainer-1"),
    )
    import_pending.import_pending(exported)
    expected = {"gpus": "training:gpus-1a2b3c4", "trainer": "trainer-1:trainer-2", "way": "s/r"}
    assert found(exported) == expected


def test_what_is_still_being_made_is_named_once_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    new_cluster()
    cluster = eks_backends[DEFAULT_ACCOUNT_ID][REGION].clusters["training"]
    cluster.status = "CREATING"
    exported = export(begun("aws:eks/cluster:Cluster", "training", name="training"))

    def meanwhile(_: float) -> None:
        assert found(exported) == {}
        cluster.status = "ACTIVE"

    monkeypatch.setattr(time, "sleep", meanwhile)
    import_pending.import_pending(exported)
    assert found(exported) == {"training": "training"}


def test_without_anything_begun_in_aws_the_export_stays_as_it_is_and_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = export(begun("kubernetes:core/v1:Namespace", "training"))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(exported)))
    monkeypatch.setattr("boto3.session.Session", None)
    import_pending.main()
    assert json.loads(capsys.readouterr().out) == exported


@pytest.mark.parametrize("settings", [{"defaultTags": ""}, {"defaultTags": "{}"}, {"defaultTags": "[1]"}])
def test_a_provider_without_the_stacks_tag_is_refused_with_the_remedy(settings: dict[str, str]) -> None:
    exported = export(begun("aws:ec2/vpc:Vpc", "net", tags={"Name": "net"}), **settings)
    with pytest.raises(RecoveryError, match=r"region and tag.*python -m recovery\.aws\.untracked"):
        import_pending.import_pending(exported)


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "is not JSON; pipe `pulumi stack export`"), ("[]", "is not a `pulumi stack export`")],
)
def test_what_is_no_export_is_refused(given: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    with pytest.raises(SystemExit, match=said):
        import_pending.main()
