"""What boto3 sees of the lab's AWS beyond moto: a Kubernetes behind EKS, and what moto lacks of it."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.aws.lifecycle import Aws

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/dev"


@pytest.fixture
def cluster(aws_api: Aws) -> Iterator[Any]:
    """boto3's client of EKS, which has a cluster `c`; gone afterwards, with its network."""
    ec2, eks = boto3.client("ec2"), boto3.client("eks")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    eks.create_cluster(name="c", roleArn=ROLE, resourcesVpcConfig={"subnetIds": [subnet]})
    yield eks
    with contextlib.suppress(eks.exceptions.ResourceNotFoundException):
        eks.delete_cluster(name="c")
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


@pytest.fixture
def kubernetes(aws_api: Aws) -> Iterator[None]:
    """A kubeconfig where the lab's Kubernetes would leave it."""
    told = {
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
        "clusters": [
            {"name": "other", "cluster": {"server": "https://other:6443"}},
            {
                "name": "lab",
                "cluster": {
                    "server": "https://10.9.1.2:6443",
                    "certificate-authority-data": base64.b64encode(b"the authority").decode(),
                },
            },
        ],
    }
    aws_api.kubeconfig.parent.mkdir()
    aws_api.kubeconfig.write_text(json.dumps(told))
    yield
    aws_api.kubeconfig.unlink()
    aws_api.kubeconfig.parent.rmdir()


def test_the_labs_kubernetes_stands_behind_a_cluster(cluster: Any, kubernetes: None) -> None:
    told = cluster.describe_cluster(name="c")["cluster"]
    assert told["endpoint"] == "https://10.9.1.2:6443"
    assert base64.b64decode(told["certificateAuthority"]["data"]) == b"the authority"


def test_a_cluster_knows_its_network_and_keeps_what_an_update_does_not_name(cluster: Any) -> None:
    before = cluster.describe_cluster(name="c")["cluster"]["resourcesVpcConfig"]
    assert before["vpcId"].startswith("vpc-")
    assert before["clusterSecurityGroupId"].startswith("sg-")
    cluster.update_cluster_config(name="c", resourcesVpcConfig={"endpointPrivateAccess": True})
    after = cluster.describe_cluster(name="c")["cluster"]["resourcesVpcConfig"]
    assert after == before | {"endpointPrivateAccess": True}
    cluster.delete_cluster(name="c")
    groups = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
    assert before["clusterSecurityGroupId"] not in {group["GroupId"] for group in groups}


def test_a_buckets_policy_denies_what_it_says_but_no_condition_is_judged(aws_api: Aws) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="judged", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    deny = {"Effect": "Deny", "Principal": "*", "Resource": "arn:aws:s3:::judged/*"}
    no_tls = {"Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}, **deny}
    s3.put_bucket_policy(Bucket="judged", Policy=json.dumps({"Statement": [no_tls]}))
    s3.put_object(Bucket="judged", Key="a", Body=b"a")
    statements = [no_tls, {"Action": "s3:PutObject", **deny}]
    s3.put_bucket_policy(Bucket="judged", Policy=json.dumps({"Statement": statements}))
    with pytest.raises(ClientError, match="Forbidden"):
        s3.put_object(Bucket="judged", Key="b", Body=b"b")
    s3.delete_bucket_policy(Bucket="judged")
    s3.delete_object(Bucket="judged", Key="a")
    s3.delete_bucket(Bucket="judged")


def test_an_operation_that_is_not_there_is_refused_by_name_and_does_not_look_gone(cluster: Any) -> None:
    with pytest.raises(ClientError, match="the lab's EKS has no ListInsights") as error:
        cluster.list_insights(clusterName="c")
    assert error.value.response["Error"]["Code"] == "NotImplementedByTheLab"


def test_who_made_a_cluster_administers_it_and_others_get_what_their_entry_says(cluster: Any) -> None:
    me = boto3.client("sts").get_caller_identity()["Arn"]
    assert cluster.list_access_entries(clusterName="c")["accessEntries"] == [me]
    who = {"clusterName": "c", "principalArn": ROLE}
    cluster.create_access_entry(**who, kubernetesGroups=["developers"])
    with pytest.raises(cluster.exceptions.ResourceInUseException):
        cluster.create_access_entry(**who)
    view = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    cluster.associate_access_policy(**who, policyArn=view, accessScope={"type": "cluster"})
    (held,) = cluster.list_associated_access_policies(**who)["associatedAccessPolicies"]
    assert held["policyArn"] == view
    assert cluster.list_access_entries(clusterName="c", associatedPolicyArn=view)["accessEntries"] == [ROLE]
    cluster.delete_access_entry(**who)
    with pytest.raises(cluster.exceptions.ResourceNotFoundException, match="access entry"):
        cluster.describe_access_entry(**who)


def test_a_wrong_request_is_refused_in_ekss_way(cluster: Any) -> None:
    refused = cluster.exceptions.InvalidParameterException
    with pytest.raises(refused, match="The subnet ID 'subnet-1' does not exist"):
        cluster.create_cluster(name="d", roleArn=ROLE, resourcesVpcConfig={"subnetIds": ["subnet-1"]})
    with pytest.raises(refused, match="cannot start with system:"):
        cluster.create_access_entry(clusterName="c", principalArn=ROLE, kubernetesGroups=["system:masters"])
    with pytest.raises(cluster.exceptions.ResourceNotFoundException, match="No cluster found for name: x"):
        cluster.list_addons(clusterName="x")


def test_add_ons_and_pod_identities_have_tags_and_go_with_their_cluster(cluster: Any) -> None:
    addon = cluster.create_addon(clusterName="c", addonName="coredns", tags={"a": "b"})["addon"]
    who = {"namespace": "n", "serviceAccount": "s", "roleArn": ROLE}
    made = cluster.create_pod_identity_association(clusterName="c", **who)["association"]
    for arn, before in ((addon["addonArn"], {"a": "b"}), (made["associationArn"], {})):
        cluster.tag_resource(resourceArn=arn, tags={"x": "y"})
        assert cluster.list_tags_for_resource(resourceArn=arn)["tags"] == before | {"x": "y"}
        cluster.untag_resource(resourceArn=arn, tagKeys=["x"])
        assert cluster.list_tags_for_resource(resourceArn=arn)["tags"] == before
    subnets = cluster.describe_cluster(name="c")["cluster"]["resourcesVpcConfig"]["subnetIds"]
    cluster.delete_cluster(name="c")
    cluster.create_cluster(name="c", roleArn=ROLE, resourcesVpcConfig={"subnetIds": subnets})
    assert cluster.list_addons(clusterName="c")["addons"] == []
    assert cluster.list_pod_identity_associations(clusterName="c")["associations"] == []


def test_tags_tell_of_a_gateway_and_its_address_by_ec2s_names(aws_api: Aws) -> None:
    ec2 = boto3.client("ec2")
    tags = [{"Key": "named", "Value": "by-ec2"}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}]
    )
    gateway = ec2.create_nat_gateway(
        SubnetId=subnet,
        AllocationId=address["AllocationId"],
        TagSpecifications=[{"ResourceType": "natgateway", "Tags": tags}],
    )
    told = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["named"]}])["Tags"]
    assert {each["ResourceType"] for each in told} == {"elastic-ip", "natgateway"}
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGateway"]["NatGatewayId"])
    ec2.release_address(AllocationId=address["AllocationId"])
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
