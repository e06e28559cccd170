"""What every stack on AWS begins with: tags, a private network, a cluster, nodes for its own services, a bucket."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as k8s

from components.aws.account_check import AccountCheck, Need
from components.aws.budget import Budget, BudgetArgs
from components.aws.caller import Caller
from components.aws.cluster import Cluster, ClusterArgs
from components.aws.endpoints import CLOUDWATCH, SERVICES, SESSION_MANAGER
from components.aws.instance_types import instance_type
from components.aws.location import Location
from components.aws.network import ExistingNetwork, Network, NetworkArgs
from components.aws.nodes import Upkeep
from components.aws.observability import ADDON as OBSERVABILITY_ADDON
from components.aws.observability import Observability, ObservabilityArgs
from components.aws.release_bucket import ReleaseBucket, ReleaseBucketArgs
from components.aws.system_nodes import SystemNodes, SystemNodesArgs
from components.errors import CloudError
from stacks.builders.arns import check_arns
from stacks.builders.naming import of_setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stacks.settings.aws import AwsAccount, AwsProvider

TAG = "scenario:stack"


@dataclass(frozen=True, kw_only=True)
class PrivateCluster:
    """A cluster with its network, and the nodes for its own services."""

    here: Location
    tags: dict[str, str]
    network: Network | ExistingNetwork
    cluster: Cluster
    system: SystemNodes
    upkeep: Upkeep

    def provider(self) -> k8s.Provider:
        """Return Pulumi's, for the cluster's resources."""
        return k8s.Provider(
            "cluster",
            kubeconfig=self.cluster.kubeconfig,
            opts=pulumi.ResourceOptions(depends_on=[self.cluster, self.system]),
        )


def private_cluster(
    stack: str, name: str, cloud: AwsAccount, provider: AwsProvider, needs: Sequence[Need]
) -> PrivateCluster:
    """Declare the cluster of a stack, and its budget.

    Args:
        stack: its name, and the cluster's.
        name: of network and cluster in the program.
        cloud: the settings.
        provider: Pulumi's.
        needs: the instances that it runs besides its own services.

    Raises:
        CloudError: AWS would refuse the settings, or they are not safe.

    """
    tags = _tags(stack, provider)
    if not cloud.public_from and cloud.reach == "internet":
        message = (
            f"stacks/Pulumi.{stack}.yaml: cloud:public_from is empty: nothing outside the network that the stack makes "
            "would reach the cluster's API, this machine neither; set it to this machine's address, as in "
            "203.0.113.7/32, or cloud:reach to network, once it is connected to that network"
        )
        raise CloudError(message)
    here = location(stack, cloud, provider)
    check_arns(here, cloud, provider)
    _check_versions(cloud)
    with of_setting("cloud:system_nodes.instance_type"):
        own = instance_type(cloud.system_nodes.instance_type)
    system_need = Need(
        instance_type=own.name, vcpus=own.vcpus, number=cloud.system_nodes.number, zones=here.zones
    )
    checked = AccountCheck(
        name, here, _services(cloud), [system_need, *needs], cloud.vpc.id if cloud.vpc else ""
    )
    after = pulumi.ResourceOptions(depends_on=[checked])
    network = _network(name, cloud, here, after)
    cluster = Cluster(
        name,
        ClusterArgs(
            location=here,
            cluster_name=stack,
            subnet_ids=network.subnet_ids,
            version=cloud.version,
            admins=cloud.admins,
            public_from=cloud.public_from,
            extended_support=cloud.support == "extended",
            addons=cloud.addons,
            monitor_nodes=cloud.node_repair,
        ),
        after,
    )
    upkeep = Upkeep(release=cloud.node_release, repair=cloud.node_repair, sessions=cloud.session_manager)
    system = SystemNodes(
        "system",
        SystemNodesArgs(
            cluster=cluster,
            subnet_ids=network.subnet_ids,
            instance_type=cloud.system_nodes.instance_type,
            nodes=cloud.system_nodes.number,
            tags=tags,
            upkeep=upkeep,
        ),
    )
    if cloud.observe_days:
        args = ObservabilityArgs(cluster=cluster, days=cloud.observe_days)
        Observability("observability", args, pulumi.ResourceOptions(depends_on=[system]))
    if cloud.budget:
        Budget(name, BudgetArgs(**cloud.budget.model_dump(), tag=(TAG, stack)))
    return PrivateCluster(
        here=here, tags=tags, network=network, cluster=cluster, system=system, upkeep=upkeep
    )


def release_bucket(
    made: PrivateCluster,
    cloud: AwsAccount,
    *,
    readable: Sequence[str] = (),
    short_lived: Mapping[str, tuple[pulumi.Input[str], int]] | None = None,
) -> ReleaseBucket:
    """Declare the stack's bucket; `readable`: ARNs of other buckets that the network may read."""
    return ReleaseBucket(
        "releases",
        ReleaseBucketArgs(
            location=made.here,
            s3_endpoint_id=made.network.s3_endpoint_id,
            own_endpoint=isinstance(made.network, Network),
            # Among the admins is the deployer, without whom Pulumi could not even list the bucket.
            outside=list(dict.fromkeys([*cloud.admins, *cloud.readers])),
            readable=readable,
            public_images=cloud.nat,
            protect=cloud.protect,
            short_lived=short_lived or {},
        ),
    )


def _check_versions(cloud: AwsAccount) -> None:
    unused = {"eks-node-monitoring-agent": cloud.node_repair, OBSERVABILITY_ADDON: bool(cloud.observe_days)}
    for addon, installed in unused.items():
        if addon in cloud.addons and not installed:
            setting = "node_repair" if addon != OBSERVABILITY_ADDON else "observe_days"
            raise CloudError(
                f"cloud:addons has a version of {addon}, which cloud:{setting} leaves out; set that, or remove it"
            )
    if cloud.node_release and not cloud.node_release.startswith(f"{cloud.version}."):
        raise CloudError(
            f"cloud:node_release {cloud.node_release} is not of cloud:version {cloud.version}; write it as in "
            f"{cloud.version}.0-20261118"
        )


def location(stack: str, cloud: AwsAccount, provider: AwsProvider) -> Location:
    """Return where a stack is, and who deploys it. Raises CloudError for what AWS would refuse."""
    return Location(
        account=cloud.account,
        region=provider.region or "",
        zones=cloud.zones,
        caller=Caller(profile=provider.profile or "", role=_assumed(stack, provider)),
        boundary=cloud.roles.boundary,
        role_path=cloud.roles.path,
    )


def _assumed(stack: str, provider: AwsProvider) -> str:
    """Return the role of `aws:assumeRoles`; empty without. Raises CloudError for what only a profile can say."""
    roles = provider.assume_roles
    if not roles:
        return ""
    if len(roles) > 1 or roles[0].model_extra:
        message = (
            f"stacks/Pulumi.{stack}.yaml: aws:assumeRoles may have one role, with its roleArn alone, as the AWS "
            "CLI takes it for the cluster's tokens; put the roles into a profile of ~/.aws/config (role_arn, "
            "source_profile, external_id), and name it in aws:profile"
        )
        raise CloudError(message)
    return roles[0].role_arn


def _network(
    name: str, cloud: AwsAccount, here: Location, opts: pulumi.ResourceOptions
) -> Network | ExistingNetwork:
    """Return the network in the settings, or declare one. Raises CloudError."""
    if not cloud.vpc:
        args = NetworkArgs(location=here, cidr=cloud.cidr, nat=cloud.nat, services=_further(cloud))
        return Network(name, args, opts)
    if len(cloud.vpc.subnets) != len(cloud.zones):
        message = (
            f"cloud:vpc.subnets lists {len(cloud.vpc.subnets)} subnets, and cloud:zones {len(cloud.zones)} zones; list "
            "one private subnet for each zone, in the same order"
        )
        raise CloudError(message)
    if len(set(cloud.vpc.subnets)) < len(cloud.vpc.subnets):
        raise CloudError("cloud:vpc.subnets names a subnet twice; name one for each zone")
    for key, cidrs in (("cidrs", cloud.vpc.cidrs), ("s3_cidrs", cloud.vpc.s3_cidrs)):
        if not cidrs:
            # An empty list of addresses would be all of them.
            raise CloudError(f"cloud:vpc.{key} is empty; list the networks, as in 10.0.0.0/16")
    public = [each for each in cloud.vpc.cidrs if ipaddress.ip_network(each).is_global]
    if public:
        raise CloudError(
            f"cloud:vpc.cidrs: {', '.join(public)} is not private; list the network's own addresses"
        )
    return ExistingNetwork(
        vpc_id=cloud.vpc.id,
        subnet_ids=cloud.vpc.subnets,
        s3_endpoint_id=cloud.vpc.s3_endpoint,
        s3_cidrs=cloud.vpc.s3_cidrs,
    )


def _services(cloud: AwsAccount) -> list[str]:
    """Return the services whose endpoints the stack makes, or finds in a network that exists.

    Pods reach no public address but S3's, so what they call has an endpoint though there is a way out.
    """
    if cloud.vpc and cloud.nat:
        return ["kms", *_further(cloud)]
    return list(SERVICES | _further(cloud))


def _further(cloud: AwsAccount) -> dict[str, tuple[str, ...]]:
    """Return the interface endpoints for what is asked for."""
    return (SESSION_MANAGER if cloud.session_manager else {}) | (CLOUDWATCH if cloud.observe_days else {})


def _tags(stack: str, provider: AwsProvider) -> dict[str, str]:
    tags = provider.default_tags.get("tags", {})
    if tags.get(TAG) != stack:
        message = (
            f"stacks/Pulumi.{stack}.yaml: aws:defaultTags has no tag {TAG}: {stack}, which identifies the stack's "
            f'resources; write aws:defaultTags: {{tags: {{"{TAG}": {stack}}}}}'
        )
        raise CloudError(message)
    return tags
