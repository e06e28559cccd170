"""What AWS is still making is waited for: moto makes all at once, so these tests set its models' states back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.eks.models import eks_backends
from moto.elbv2.models import elbv2_backends

from recovery import RecoveryError
from recovery.aws import readiness
from recovery.aws.readiness import is_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

REGION = "eu-central-1"
CLUSTER = "aws:eks/cluster:Cluster"
GROUP = "aws:eks/nodeGroup:NodeGroup"
ROLE = "arn:aws:iam::123456789012:role/one"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account, in this process."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


@pytest.fixture
def session() -> boto3.session.Session:
    return boto3.session.Session(region_name=REGION)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens in AWS while somebody waits: one thing each time; more waiting than things to come fails."""
    steps: list[Callable[[], object]] = []
    monkeypatch.setattr(time, "sleep", lambda _: steps.pop(0)())
    return steps


def new_cluster(session: boto3.session.Session) -> Any:
    """Moto's model of a cluster."""
    network = {"subnetIds": ["subnet-1"]}
    session.client("eks").create_cluster(name="training", roleArn=ROLE, resourcesVpcConfig=network)
    return eks_backends[DEFAULT_ACCOUNT_ID][REGION].clusters["training"]


def new_node_group(session: boto3.session.Session) -> Any:
    cluster = new_cluster(session)
    session.client("eks").create_nodegroup(
        clusterName="training", nodegroupName="gpus", nodeRole=ROLE, subnets=["subnet-1"]
    )
    return cluster.nodegroups["gpus"]


def new_network(session: boto3.session.Session) -> tuple[str, str]:
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    return vpc, ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.0.0/24")["Subnet"]["SubnetId"]


def new_nat_gateway(session: boto3.session.Session) -> Any:
    made = session.client("ec2").create_nat_gateway(
        SubnetId=new_network(session)[1], ConnectivityType="private"
    )
    return ec2_backends[DEFAULT_ACCOUNT_ID][REGION].nat_gateways[made["NatGateway"]["NatGatewayId"]]


def new_endpoint(session: boto3.session.Session) -> Any:
    service = f"com.amazonaws.{REGION}.s3"
    made = session.client("ec2").create_vpc_endpoint(VpcId=new_network(session)[0], ServiceName=service)
    return ec2_backends[DEFAULT_ACCOUNT_ID][REGION].vpc_end_points[made["VpcEndpoint"]["VpcEndpointId"]]


def new_balancer(session: boto3.session.Session) -> Any:
    subnet = new_network(session)[1]
    made = session.client("elbv2").create_load_balancer(Name="one", Type="network", Subnets=[subnet])
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    return elbv2_backends[DEFAULT_ACCOUNT_ID][REGION].load_balancers[arn]


def becomes(model: Any, word: str, member: str = "status") -> Callable[[], None]:
    return lambda: setattr(model, member, word)


def test_a_cluster_is_waited_for_with_its_status_and_time(
    session: boto3.session.Session,
    meanwhile: list[Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = new_cluster(session)
    cluster.status = "CREATING"
    seconds = iter(range(0, 10_000, 45))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    meanwhile += [lambda: None, lambda: None, becomes(cluster, "ACTIVE")]
    assert is_ready(CLUSTER, "training", session)
    assert meanwhile == []
    first, *shown, last = capsys.readouterr().err.splitlines()
    assert first == "waiting for the cluster training, which is CREATING"
    assert shown[-1].startswith("  the cluster training: CREATING, ")
    assert last.startswith("  the cluster training: ACTIVE in ")


def test_each_kind_that_takes_its_time_is_waited_for(
    session: boto3.session.Session, meanwhile: list[Callable[[], object]]
) -> None:
    group, gateway, endpoint = (make(session) for make in (new_node_group, new_nat_gateway, new_endpoint))
    group.status, gateway.state, endpoint.state = "CREATING", "pending", "pending"
    for kind, identity, arrives in (
        (GROUP, "training:gpus", becomes(group, "ACTIVE")),
        ("aws:ec2/natGateway:NatGateway", gateway.id, becomes(gateway, "available", "state")),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", endpoint.id, becomes(endpoint, "available", "state")),
    ):
        meanwhile.append(arrives)
        assert is_ready(kind, identity, session)
        assert meanwhile == [], kind


def test_what_is_made_already_or_at_once_is_not_waited_for(
    session: boto3.session.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    new_cluster(session)
    assert is_ready(CLUSTER, "training", session)
    assert is_ready("aws:ec2/subnet:Subnet", "subnet-of-whatever", session)
    assert capsys.readouterr().err == ""


def test_what_never_reached_aws_or_goes_while_it_is_waited_for_is_not_there(
    session: boto3.session.Session, meanwhile: list[Callable[[], object]]
) -> None:
    assert not is_ready(GROUP, "training:gpus", session)
    assert not is_ready("aws:ec2/vpcEndpoint:VpcEndpoint", "vpce-0123456789abcdef0", session)
    gateway = new_nat_gateway(session)
    gateway.state = "deleted"  # AWS lists it for an hour
    assert not is_ready("aws:ec2/natGateway:NatGateway", gateway.id, session)
    cluster = new_cluster(session)
    cluster.status = "DELETING"
    meanwhile.append(lambda: session.client("eks").delete_cluster(name="training"))
    assert not is_ready(CLUSTER, "training", session)


def test_what_aws_could_not_make_is_named_with_its_reason_and_the_command_that_deletes_it(
    session: boto3.session.Session,
) -> None:
    group = new_node_group(session)
    group.status = "CREATE_FAILED"
    group.health = {
        "issues": [{"code": "AsgInstanceLaunchFailures", "message": "no capacity in eu-central-1a"}]
    }
    with pytest.raises(RecoveryError) as told:
        is_ready(GROUP, "training:gpus", session)
    assert str(told.value) == (
        "the node group training:gpus is CREATE_FAILED: AsgInstanceLaunchFailures: no capacity in eu-central-1a; "
        "delete it, `aws eks delete-nodegroup --cluster-name training --nodegroup-name gpus --region eu-central-1`, "
        "then run make up again"
    )
    balancer = new_balancer(session)
    assert is_ready("aws:lb/loadBalancer:LoadBalancer", balancer.arn, session)
    balancer.state = "failed"
    with pytest.raises(
        RecoveryError, match=f"delete-load-balancer --load-balancer-arn {balancer.arn} --region"
    ):
        is_ready("aws:lb/loadBalancer:LoadBalancer", balancer.arn, session)


def test_the_wait_has_an_end(session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    new_cluster(session).status = "CREATING"
    monkeypatch.setattr(readiness, "_LONGEST_S", 0.0)
    with pytest.raises(
        RecoveryError, match="the cluster training is still CREATING after 0 min; see in AWS why"
    ):
        is_ready(CLUSTER, "training", session)
