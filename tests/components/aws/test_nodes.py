"""Nodes: what they are started from, how they are come by, and who may use them."""

from __future__ import annotations

import base64
import datetime as dt
import email
import email.policy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.aws.capacity import CapacityBlock, OnDemand, Reservation, Spot
from components.aws.gpu_nodes import GpuNodes, GpuNodesArgs
from components.aws.instance_types import INSTANCE_TYPES, instance_type
from components.aws.node_disks import allocatable_gib
from components.aws.system_nodes import SystemNodes, SystemNodesArgs
from components.errors import CloudError
from tests.components.aws.declaring import Declared, a_cluster, declared

if TYPE_CHECKING:
    import pulumi

    from components.aws.capacity import Capacity

ID = "cr-0123456789abcdef0"
ON_DEMAND = OnDemand()
BLOCK = CapacityBlock(id=ID, ends=dt.datetime(2027, 1, 31, tzinfo=dt.UTC))
TAGS = {"scenario:stack": "s2"}


def gpus(
    named: str = "p5.48xlarge",
    capacity: Capacity = ON_DEMAND,
    *others: str,
    maximum: int = 4,
    minimum: int = 0,
    nodes: int | None = None,
) -> Declared:
    def build() -> dict[str, pulumi.Output[Any]]:
        arguments = GpuNodesArgs(
            cluster=a_cluster(),
            vpc_id="vpc-1",
            subnet_ids=["subnet-a"],
            instances=[instance_type(each) for each in (named, *others)],
            maximum=maximum,
            minimum=minimum,
            nodes=nodes,
            capacity=capacity,
            tags=TAGS,
        )
        made = GpuNodes("gpus", arguments)
        return {"group": made.node_group_name}

    return declared(build)


def of_nodes(made: Declared, name: str) -> list[str]:
    return [each for each in made.names if each.partition(" ")[2].startswith(name)]


def template(made: Declared, name: str = "gpus") -> dict[str, Any]:
    return made.of("ec2/launchTemplate:LaunchTemplate")[name]


def test_nodes_are_a_group_with_its_template_fabric_role_and_placement_and_nothing_else() -> None:
    made = gpus()
    assert of_nodes(made, "gpus") == sorted(
        [
            "ec2/launchTemplate:LaunchTemplate gpus",
            "ec2/placementGroup:PlacementGroup gpus",
            "ec2/securityGroup:SecurityGroup gpus-fabric",
            "eks/nodeGroup:NodeGroup gpus",
            "iam/role:Role gpus",
            "iam/rolePolicyAttachment:RolePolicyAttachment gpus-AmazonEC2ContainerRegistryPullOnly",
            "iam/rolePolicyAttachment:RolePolicyAttachment gpus-AmazonEKSWorkerNodePolicy",
            "iam/rolePolicyAttachment:RolePolicyAttachment gpus-AmazonEKS_CNI_Policy",
            "vpc/securityGroupEgressRule:SecurityGroupEgressRule gpus-fabric",
            "vpc/securityGroupIngressRule:SecurityGroupIngressRule gpus-fabric",
        ]
    )
    assert made.one("ec2/placementGroup:PlacementGroup") == {"strategy": "cluster"}
    for direction in ("Ingress", "Egress"):
        rule = made.one(f"vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule")
        assert rule["securityGroupId"] == rule["referencedSecurityGroupId"] == "gpus-fabric-id"
        assert rule["ipProtocol"] == "-1"
    assert made.outputs == {"group": "gpus"}


def test_the_group_begins_and_may_end_with_no_node_and_only_training_goes_there() -> None:
    group = gpus().of("eks/nodeGroup:NodeGroup")["gpus"]
    assert group["scalingConfig"] == {"desiredSize": 0, "minSize": 0, "maxSize": 4}
    assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert group["subnetIds"] == ["subnet-a"]
    assert group["amiType"] == "AL2023_x86_64_NVIDIA"
    assert group["launchTemplate"] == {"id": "gpus-id", "version": "1"}
    assert "instanceTypes" not in group, "the template has it"
    trial = gpus(named="c7i.xlarge", nodes=2).of("eks/nodeGroup:NodeGroup")["gpus"]
    assert trial["taints"] == [{"key": "scenario/training", "value": "true", "effect": "NO_SCHEDULE"}]
    assert trial["amiType"] == "AL2023_x86_64_STANDARD"
    assert trial["scalingConfig"]["desiredSize"] == 2


def test_an_autoscaler_learns_from_the_groups_tags_what_a_node_that_is_not_there_yet_has() -> None:
    def told(name: str) -> dict[str, str]:
        tags = gpus(named=name).of("eks/nodeGroup:NodeGroup")["gpus"].get("tags", {})
        return {
            key.removeprefix("k8s.io/cluster-autoscaler/node-template/resources/"): tags[key] for key in tags
        }

    efa, disk = "vpc.amazonaws.com/efa", "ephemeral-storage"
    assert told("p5.48xlarge") == {"nvidia.com/gpu": "8", efa: "32", disk: "25378Gi"}
    assert told("g6f.xlarge")["nvidia.com/gpu"] == "1", "EC2 counts a part of a GPU as none"
    assert told("c7i.xlarge") == {disk: "178Gi"}


def test_a_group_of_several_types_names_them_in_order_and_promises_what_each_has() -> None:
    made = gpus("g6.2xlarge", ON_DEMAND, "g5.2xlarge", "g6e.2xlarge")
    group = made.of("eks/nodeGroup:NodeGroup")["gpus"]
    assert group["instanceTypes"] == ["g6.2xlarge", "g5.2xlarge", "g6e.2xlarge"]
    assert "instanceType" not in template(made), "EKS refuses a type in both"
    assert group["labels"]["k8s.amazonaws.com/accelerator"] == "nvidia-gpu"
    tag = "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage"
    least = min(int(allocatable_gib(instance_type(each), 200)) for each in group["instanceTypes"])
    assert group["tags"][tag] == f"{least}Gi"
    assert "instanceTypes" not in gpus("g6.2xlarge").of("eks/nodeGroup:NodeGroup")["gpus"]


def test_a_gpus_name_of_several_words_is_a_label_that_kubernetes_takes() -> None:
    labels = gpus(named="g7e.2xlarge").of("eks/nodeGroup:NodeGroup")["gpus"]["labels"]
    assert labels["k8s.amazonaws.com/accelerator"] == "nvidia-rtx-pro-server-6000"


@pytest.mark.parametrize("name", ["p5.48xlarge", "p6-b300.48xlarge", "g6.8xlarge", "g6.xlarge", "m7i.large"])
def test_each_node_is_wired_as_the_table_says_without_a_public_address(name: str) -> None:
    made, row = gpus(named=name), INSTANCE_TYPES[name]
    wired = template(made).get("networkInterfaces", [])
    assert [(each["networkCardIndex"], each["deviceIndex"], each["interfaceType"]) for each in wired] == [
        (each.card, each.device, each.kind) for each in row.interfaces
    ]
    groups = ["sg-cluster", "gpus-fabric-id"]
    assert all(each["securityGroups"] == groups for each in wired)
    assert all(each["associatePublicIpAddress"] == "false" for each in wired)
    assert template(made).get("vpcSecurityGroupIds", groups if wired else None) == groups
    assert ("placement" in template(made)) == bool(row.efa_interfaces)


def test_a_first_disk_with_the_images_on_it_is_four_times_as_fast_as_usual() -> None:
    (disk,) = template(gpus(named="m7i.large"))["blockDeviceMappings"]
    assert (disk["ebs"]["volumeType"], disk["ebs"]["iops"], disk["ebs"]["throughput"]) == ("gp3", 4000, 500)


def test_a_template_encrypts_disks_hides_credentials_from_pods_and_names_the_stack() -> None:
    made = template(gpus())
    (disk,) = made["blockDeviceMappings"]
    assert disk["ebs"]["encrypted"] == "true"
    assert disk["ebs"]["volumeSize"] == 200
    assert "throughput" not in disk["ebs"], "images are on local disks"
    assert made["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "disabled",
    }
    tagged = {each["resourceType"]: each["tags"] for each in made["tagSpecifications"]}
    assert set(tagged) == {"instance", "volume", "network-interface"}
    assert all(tags == {"Name": "gpus", **TAGS} for tags in tagged.values())
    assert made["placement"] == {"groupName": "gpus"}
    forbidden = {"iamInstanceProfile", "imageId", "keyName", "instanceInitiatedShutdownBehavior"}
    assert not forbidden & set(made), "EKS refuses templates with these"


def test_local_disks_become_one_array_before_the_node_joins() -> None:
    told = base64.b64decode(template(gpus())["userData"])
    (part,) = email.message_from_bytes(told, policy=email.policy.default).iter_parts()
    assert part.get_content_type() == "application/node.eks.aws"
    config = yaml.safe_load(part.get_content())
    assert config["kind"] == "NodeConfig"
    assert config["spec"] == {"instance": {"localStorage": {"strategy": "RAID0"}}}
    assert "userData" not in template(gpus(named="m7i.large")), "it has no local disk"


def test_each_capacity_is_asked_for_in_the_way_that_eks_wants_it() -> None:
    def asked(capacity: Capacity) -> tuple[str, Any, Any, Any, bool]:
        made = gpus(capacity=capacity)
        group, started = made.of("eks/nodeGroup:NodeGroup")["gpus"], template(made)
        target = started.get("capacityReservationSpecification", {}).get("capacityReservationTarget")
        placed = started.get("placement", {}).get("groupName")
        own = bool(made.of("ec2/placementGroup:PlacementGroup"))
        return group["capacityType"], started.get("instanceMarketOptions"), target, placed, own

    target = {"capacityReservationId": ID}
    assert asked(Spot()) == ("SPOT", None, None, "gpus", True)
    assert asked(Reservation(id=ID)) == ("ON_DEMAND", None, target, None, False)
    near = Reservation(id=ID, placement_group="near")
    assert asked(near) == ("ON_DEMAND", None, target, "near", False)
    bought = ("CAPACITY_BLOCK", {"marketType": "capacity-block"}, target, None, False)
    assert asked(BLOCK) == bought, "AWS places a block's instances itself"


def test_eks_can_take_all_nodes_of_a_block_before_it_ends_however_many_are_kept_until_then() -> None:
    def sizes(capacity: Capacity) -> Any:
        made = gpus(capacity=capacity, minimum=4, maximum=4)
        return made.of("eks/nodeGroup:NodeGroup")["gpus"]["scalingConfig"]

    assert sizes(BLOCK) == {"desiredSize": 4, "minSize": 0, "maxSize": 4}
    assert sizes(Reservation(id=ID)) == {"desiredSize": 4, "minSize": 4, "maxSize": 4}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"named": "p5.48xlage"}, "did you mean 'p5.48xlarge'"),
        ({"named": "g6.xlarge", "capacity": BLOCK}, "Capacity Blocks are not sold for g6.xlarge"),
        ({"maximum": 0}, "nodes: minimum 0, initial 0, maximum 0; they must ascend"),
        ({"nodes": 5}, "nodes: minimum 0, initial 5, maximum 4; they must ascend"),
        ({"minimum": 3, "nodes": 2}, "minimum 3, initial 2"),
    ],
)
def test_nodes_that_cannot_be_are_one_line_before_anything_is_declared(
    wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(CloudError, match=said):
        gpus(**wrong)


def test_system_nodes_are_a_fixed_number_of_small_ones_that_coredns_waits_for() -> None:
    def build() -> SystemNodes:
        return SystemNodes(
            "system",
            SystemNodesArgs(
                cluster=a_cluster(), subnet_ids=["subnet-a", "subnet-b"], instance_type="m7g.large", nodes=2
            ),
        )

    made = declared(build)
    assert of_nodes(made, "system") == sorted(
        [
            "ec2/launchTemplate:LaunchTemplate system",
            "eks/addon:Addon system-coredns",
            "eks/nodeGroup:NodeGroup system",
            "iam/role:Role system",
            "iam/rolePolicyAttachment:RolePolicyAttachment system-AmazonEC2ContainerRegistryPullOnly",
            "iam/rolePolicyAttachment:RolePolicyAttachment system-AmazonEKSWorkerNodePolicy",
            "iam/rolePolicyAttachment:RolePolicyAttachment system-AmazonEKS_CNI_Policy",
        ]
    )
    group = made.of("eks/nodeGroup:NodeGroup")["system"]
    assert group["scalingConfig"] == {"desiredSize": 2, "minSize": 2, "maxSize": 2}
    assert group["subnetIds"] == ["subnet-a", "subnet-b"]
    assert "taints" not in group
    assert group["amiType"] == "AL2023_ARM_64_STANDARD", "of their own architecture"
    assert template(made, "system")["metadataOptions"]["httpTokens"] == "required"


@pytest.mark.parametrize("wrong", [{"instance_type": "g6.xlarge"}, {"nodes": 0}])
def test_system_nodes_are_refused_with_gpus_or_without_nodes(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"instance_type": "m7i.large", "nodes": 2} | wrong
    with pytest.raises(CloudError, match="; use one or more of a type without GPU"):
        declared(lambda: SystemNodes("x", SystemNodesArgs(cluster=a_cluster(), subnet_ids=[], **given)))
