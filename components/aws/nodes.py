"""Common to all nodes: their role and launch template."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import ec2, eks, iam

from components.aws.capacity import CapacityBlock, OnDemand, Reservation
from components.aws.policies import role, trust

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.capacity import Capacity
    from components.aws.cluster import Cluster
    from components.aws.instances import InstanceType
    from components.aws.location import Location

_MANAGED = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
"""AWS's own policies for nodes: join the cluster, give pods addresses, pull images."""
_SESSIONS = "AmazonSSMManagedInstanceCore"
_ROOT = "/dev/xvda"
"""The first disk of Amazon Linux 2023."""
# gp3's usual are 3000 and 125; each MiB/s needs four operations a second:
# https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html, read 2026-11.
_FAST_IOPS, _FAST_MIB_PER_S = 4000, 500
_TAGGED = ("instance", "volume", "network-interface")
# One array of all local disks, with the images, the logs and the scratch of pods on it.
_RAID = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  instance:
    localStorage:
      strategy: RAID0

--//--
"""


@dataclass(frozen=True, kw_only=True)
class TemplateArgs:
    """Inputs of a launch template.

    Attributes:
        instance: the instance type.
        several_types: whether the node group names its types, of which this is the first.
        security_group_ids: groups of every network interface.
        tags: the stack's tags: EC2 gives them to instances, disks and interfaces only if the template does.
        disk_gib: the first disk, for the system and images, in GiB.
        fast_disk: whether it is four times as fast as usual: a training image is 15 GB or more.
        placement_group: the placement group that nodes are started in.
        capacity: how the nodes are purchased.

    """

    instance: InstanceType
    security_group_ids: Sequence[pulumi.Input[str]]
    tags: Mapping[str, str]
    disk_gib: int
    several_types: bool = False
    fast_disk: bool = False
    placement_group: pulumi.Input[str] | None = None
    capacity: Capacity = field(default_factory=OnDemand)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """How nodes are kept, whatever they are for.

    Attributes:
        release: of their image; None: EKS's newest when they are made, or the cluster's version changes.
        repair: whether EKS restarts or replaces sick ones.
        sessions: whether Session Manager opens shells on them.

    """

    release: str | None = None
    repair: bool = True
    sessions: bool = False


def node_role(
    name: str, location: Location, upkeep: Upkeep, parent: pulumi.Resource
) -> tuple[iam.Role, list[pulumi.Resource]]:
    """Declare the nodes' role; return it with what must exist before them."""
    own = pulumi.ResourceOptions(parent=parent)
    made = role(name, location, trust("ec2.amazonaws.com"), own)
    return made, [
        iam.RolePolicyAttachment(
            f"{name}-{policy}", role=made.name, policy_arn=location.managed_policy(policy), opts=own
        )
        for policy in (*_MANAGED, *([_SESSIONS] if upkeep.sessions else []))
    ]


@dataclass(frozen=True, kw_only=True)
class FixedGroupArgs:
    """Inputs of a node group of fixed size.

    Attributes:
        cluster: the cluster that the nodes join.
        subnet_ids: private subnets, over which they are spread.
        instance: their type, with or without GPUs.
        number: how many; two survive the loss of a zone.
        labels: Kubernetes' labels.
        tags: the stack's tags, for instances, disks and interfaces.
        disk_gib: the first disk, for the system, images and pods' scratch, in GiB.
        upkeep: how they are kept.

    """

    cluster: Cluster
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    instance: InstanceType
    number: int
    labels: Mapping[str, str]
    tags: Mapping[str, str]
    disk_gib: int
    upkeep: Upkeep = field(default_factory=Upkeep)


def fixed_group(name: str, args: FixedGroupArgs, parent: pulumi.Resource) -> eks.NodeGroup:
    """Declare a node group on demand, with its role and launch template."""
    who, rights = node_role(name, args.cluster.location, args.upkeep, parent)
    template = launch_template(
        name,
        TemplateArgs(
            instance=args.instance,
            security_group_ids=[args.cluster.security_group_id],
            tags=args.tags,
            disk_gib=args.disk_gib,
        ),
        parent,
    )
    return eks.NodeGroup(
        name,
        cluster_name=args.cluster.name,
        node_role_arn=who.arn,
        subnet_ids=args.subnet_ids,
        capacity_type="ON_DEMAND",
        **group_arguments(args.cluster, args.instance, args.upkeep, template),
        scaling_config={"desired_size": args.number, "min_size": args.number, "max_size": args.number},
        labels=args.labels,
        update_config={"max_unavailable": 1},
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[args.cluster, *rights]),
    )


def group_arguments(
    cluster: Cluster, instance: InstanceType, upkeep: Upkeep, template: ec2.LaunchTemplate
) -> dict[str, Any]:
    """Return the arguments of a node group that say what its nodes run, and how they are kept."""
    return {
        "version": cluster.version,
        "release_version": upkeep.release,
        "ami_type": instance.ami_type,
        "launch_template": {"id": template.id, "version": template.latest_version.apply(str)},
        "node_repair_config": {"enabled": upkeep.repair},
    }


def scaling_group(group: eks.NodeGroup) -> pulumi.Output[str]:
    """Return the name of the autoscaling group that EKS makes for a node group."""
    return group.resources.apply(lambda found: str((found[0].autoscaling_groups or [])[0].name))


def launch_template(name: str, args: TemplateArgs, parent: pulumi.Resource) -> ec2.LaunchTemplate:
    """Declare a launch template; a different instance type needs a new one, and so new nodes.

    The image is EKS's choice, by the node group's AMI type. A template for EKS must not name subnets, an
    instance profile or the spot market: https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
    """
    wired = _network_interfaces(args)
    disk = ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name=_ROOT,
        ebs=ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_size=args.disk_gib,
            volume_type="gp3",
            encrypted="true",
            delete_on_termination="true",
            iops=_FAST_IOPS if args.fast_disk else None,
            throughput=_FAST_MIB_PER_S if args.fast_disk else None,
        ),
    )
    properties = ec2.LaunchTemplateArgs(
        instance_type=None if args.several_types else args.instance.name,
        update_default_version=True,
        ebs_optimized="true",
        block_device_mappings=[disk],
        # Pods outside the host's network are one hop too far away to get the node's credentials.
        metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            http_put_response_hop_limit=1,
            instance_metadata_tags="disabled",
        ),
        network_interfaces=wired or None,
        vpc_security_group_ids=None if wired else list(args.security_group_ids),
        placement=(
            ec2.LaunchTemplatePlacementArgs(group_name=args.placement_group) if args.placement_group else None
        ),
        instance_market_options=(
            ec2.LaunchTemplateInstanceMarketOptionsArgs(market_type="capacity-block")
            if isinstance(args.capacity, CapacityBlock)
            else None
        ),
        capacity_reservation_specification=_reserved(args.capacity),
        tag_specifications=[
            ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags={"Name": name, **args.tags})
            for kind in _TAGGED
        ],
        tags={"Name": name},
        user_data=base64.b64encode(_RAID.encode()).decode() if args.instance.nvme_disks else None,
    )
    opts = pulumi.ResourceOptions(parent=parent, replace_on_changes=["instanceType"])
    return ec2.LaunchTemplate(name, properties, opts)


def _reserved(wanted: Capacity) -> ec2.LaunchTemplateCapacityReservationSpecificationArgs | None:
    if not isinstance(wanted, (Reservation, CapacityBlock)):
        return None
    target = ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
        capacity_reservation_id=wanted.id
    )
    return ec2.LaunchTemplateCapacityReservationSpecificationArgs(capacity_reservation_target=target)


def _network_interfaces(args: TemplateArgs) -> list[ec2.LaunchTemplateNetworkInterfaceArgs]:
    return [
        ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=each.card,
            device_index=each.device,
            interface_type=each.kind,
            associate_public_ip_address="false",
            delete_on_termination="true",
            security_groups=list(args.security_group_ids),
        )
        for each in args.instance.interfaces
    ]
