"""The way in from the premises: an internal load balancer that ends no TLS, and PrivateLink where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.aws.instance_types import instance_type
from components.aws.load_balancer import Entrance, LoadBalancer, LoadBalancerArgs
from components.aws.serving_nodes import ServingNodes, ServingNodesArgs
from tests.components.aws.declaring import Declared, a_cluster, declared

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi


def a_balancer(*, clients: Sequence[str] = (), principals: Sequence[str] = ()) -> Declared:
    def build() -> pulumi.Resource:
        cluster = a_cluster()
        nodes = ServingNodes(
            "nodes",
            ServingNodesArgs(
                cluster=cluster,
                subnet_ids=["subnet-a", "subnet-b"],
                instance=instance_type("m7i.2xlarge"),
                number=2,
            ),
        )
        return LoadBalancer(
            "serving",
            LoadBalancerArgs(
                vpc_id="vpc-1",
                subnet_ids=["subnet-a", "subnet-b"],
                nodes_security_group_id=cluster.security_group_id,
                scaling_groups={"serving": nodes.scaling_group},
                entrances={
                    "catalogue": Entrance(port=30944, clients=clients),
                    "endpoint": Entrance(port=30943, clients=clients, drain_seconds=120),
                },
                principals=principals,
            ),
        )

    return declared(build)


def test_it_has_no_address_on_the_internet_and_is_in_every_zone() -> None:
    balancer = a_balancer().one("lb/loadBalancer:LoadBalancer")
    assert balancer["internal"] is True
    assert balancer["loadBalancerType"] == "network"
    assert balancer["subnets"] == ["subnet-a", "subnet-b"]
    assert balancer["enableCrossZoneLoadBalancing"] is True


def test_tcp_goes_through_to_the_same_port_of_all_nodes() -> None:
    made = a_balancer()
    targets = made.of("lb/targetGroup:TargetGroup")
    assert {name: (each["protocol"], each["port"]) for name, each in targets.items()} == {
        "serving-catalogue": ("TCP", 30944),
        "serving-endpoint": ("TCP", 30943),
    }
    assert targets["serving-endpoint"]["deregistrationDelay"] == 120
    listeners = made.of("lb/listener:Listener")
    assert {name: (each["protocol"], each["port"]) for name, each in listeners.items()} == {
        "serving-catalogue": ("TCP", 30944),
        "serving-endpoint": ("TCP", 30943),
    }
    attached = made.of("autoscaling/attachment:Attachment")
    assert {each["autoscalingGroupName"] for each in attached.values()} == {"eks-nodes"}
    assert set(attached) == {"serving-catalogue-serving", "serving-endpoint-serving"}


def test_only_listed_clients_reach_it_and_only_it_reaches_the_nodes() -> None:
    rules = a_balancer(clients=["10.2.0.0/16"]).of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    clients = {each["cidrIpv4"] for each in rules.values() if "cidrIpv4" in each}
    assert clients == {"10.2.0.0/16"}
    nodes = [each for each in rules.values() if each["securityGroupId"] == "sg-cluster"]
    assert sorted(each["fromPort"] for each in nodes) == [30943, 30944]
    assert {each["referencedSecurityGroupId"] for each in nodes} == {"serving-id"}
    unlisted = a_balancer().of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
    assert {each["cidrIpv4"] for each in unlisted.values() if "cidrIpv4" in each} == private


def test_private_link_is_for_listed_principals_and_not_there_without_any() -> None:
    service = "ec2/vpcEndpointService:VpcEndpointService"
    assert a_balancer().of(service) == {}
    made = a_balancer(principals=["arn:aws:iam::210987654321:root"])
    assert made.one(service)["allowedPrincipals"] == ["arn:aws:iam::210987654321:root"]
    assert made.one(service)["networkLoadBalancerArns"] == ["arn:aws:test:::serving"]
    balancer = made.one("lb/loadBalancer:LoadBalancer")
    assert balancer["enforceSecurityGroupInboundRulesOnPrivateLinkTraffic"] == "off"


def test_serving_nodes_are_spread_over_the_zones_and_take_a_gpu_image_with_gpus() -> None:
    made = a_balancer()
    (group,) = made.of("eks/nodeGroup:NodeGroup").values()
    assert group["subnetIds"] == ["subnet-a", "subnet-b"]
    assert group["amiType"] == "AL2023_x86_64_STANDARD"

    def build() -> pulumi.Resource:
        gpu = instance_type("g6.xlarge")
        return ServingNodes(
            "nodes", ServingNodesArgs(cluster=a_cluster(), subnet_ids=["subnet-a"], instance=gpu, number=1)
        )

    assert declared(build).one("eks/nodeGroup:NodeGroup")["amiType"] == "AL2023_x86_64_NVIDIA"
