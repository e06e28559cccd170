"""What every stack on AWS begins with: tags, a private network, a cluster, nodes for its own services, a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as k8s

from components.aws.budget import Budget, BudgetArgs
from components.aws.cluster import Cluster, ClusterArgs
from components.aws.location import Location
from components.aws.network import Network, NetworkArgs
from components.aws.release_bucket import ReleaseBucket, ReleaseBucketArgs
from components.aws.system_nodes import SystemNodes, SystemNodesArgs
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stacks.settings.cloud import AwsAccount, AwsProvider

TAG = "scenario:stack"


@dataclass(frozen=True, kw_only=True)
class PrivateCluster:
    """A cluster with its network, and the nodes for its own services."""

    here: Location
    tags: dict[str, str]
    network: Network
    cluster: Cluster
    system: SystemNodes

    def provider(self) -> k8s.Provider:
        """Return Pulumi's, for the cluster's resources."""
        return k8s.Provider(
            "cluster",
            kubeconfig=self.cluster.kubeconfig,
            opts=pulumi.ResourceOptions(depends_on=[self.cluster, self.system]),
        )


def private_cluster(stack: str, name: str, cloud: AwsAccount, provider: AwsProvider) -> PrivateCluster:
    """Declare the cluster of a stack, and its budget; `name` is that of network and cluster in the program.

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
    here = Location(account=cloud.account, region=provider.region or "", zones=cloud.zones)
    network = Network(name, NetworkArgs(location=here, cidr=cloud.cidr, nat=cloud.nat))
    cluster = Cluster(
        name,
        ClusterArgs(
            location=here,
            cluster_name=stack,
            subnet_ids=network.subnet_ids,
            version=cloud.version,
            admins=cloud.admins,
            public_from=cloud.public_from,
        ),
    )
    system = SystemNodes("system", SystemNodesArgs(cluster=cluster, subnet_ids=network.subnet_ids, tags=tags))
    if cloud.budget:
        Budget(name, BudgetArgs(**cloud.budget.model_dump(), tag=(TAG, stack)))
    return PrivateCluster(here=here, tags=tags, network=network, cluster=cluster, system=system)


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
            # Among the admins is the deployer, without whom Pulumi could not even list the bucket.
            outside=list(dict.fromkeys([*cloud.admins, *cloud.readers])),
            readable=readable,
            public_images=cloud.nat,
            protect=cloud.protect,
            short_lived=short_lived or {},
        ),
    )


def _tags(stack: str, provider: AwsProvider) -> dict[str, str]:
    tags = provider.default_tags.get("tags", {})
    if tags.get(TAG) != stack:
        message = (
            f"stacks/Pulumi.{stack}.yaml: aws:defaultTags has no tag {TAG}: {stack}, which identifies the stack's "
            f'resources; write aws:defaultTags: {{tags: {{"{TAG}": {stack}}}}}'
        )
        raise CloudError(message)
    return tags
