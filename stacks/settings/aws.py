"""The settings of a stack's cloud on AWS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from scenario_model.config import Many, NotNegative, Positive, Section, Text, form
from stacks.settings.premises import Network
from stacks.settings.queueing import Queueing

KmsArn = Annotated[
    Text,
    form(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/(mrk-)?[0-9a-f-]{32,36}",
        "write the ARN of a key, not of an alias: arn:aws:kms:region:account:key/id",
    ),
]


class Capacity(Section):
    """How GPU capacity is purchased."""

    kind: Literal["on-demand", "spot", "reservation", "capacity-block"] = "on-demand"
    """Purchase option."""
    reservation: Text | None = None
    """ID of the reservation or the capacity block."""
    placement_group: Text | None = None
    """Placement group of the reservation."""
    ends: Text | None = None
    """When it ends, ISO 8601 with a time zone."""


class Nodes(Section):
    """The training nodes."""

    instance_type: Text
    """EC2 instance type."""
    other_types: Many[Text] = ()
    """Types with as many GPUs, for when EC2 has none of that: tried in this order, which on spot does not count."""
    maximum: Positive
    """Maximum number of nodes."""
    disk_gib: Positive = 200
    """First disk of a node, GiB: for the system and, on types without local disks, images and the pods' scratch."""
    minimum: NotNegative = 0
    """Nodes kept when nothing trains; in a capacity block 0, or `maximum`, until EKS takes them before it ends."""
    efa: bool | None = None
    """Whether they talk by EFA; default: if the type has it, and the job more than one pod."""
    topology: bool = False
    """Place pods by the network's layers, on types that EKS labels with them; needs nodes that are there before."""
    zone: Text | None = None
    """Their zone, one of `zones`; default: the first. A reservation or a capacity block is in one zone: name it."""
    other_zones: Many[Text] = ()
    """Others of `zones` where EC2 may start it as well, if `maximum` is 1."""
    capacity: Capacity = Capacity()


class SystemNodes(Section):
    """The nodes of the cluster's own services, spread over the zones."""

    instance_type: Text = "m7i.large"
    """EC2 instance type without GPU. Graviton (m7g, m8g) is for s2-cloud-training; a mirror needs images for arm64."""
    number: Positive = 2
    """How many; two survive the loss of a zone."""


class Budget(Section):
    """Notification if a month costs more than planned."""

    monthly_usd: Positive
    """Planned monthly cost, USD."""
    emails: Many[Text]
    """E-mail addresses to notify."""


class ExistingVpc(Section):
    """A network that exists, in which nothing is changed."""

    id: Annotated[Text, form(r"vpc-[0-9a-f]{8,17}", "write vpc- and its hexadecimal digits")]
    """The VPC."""
    subnets: Many[Annotated[Text, form(r"subnet-[0-9a-f]{8,17}", "write subnet- and its hexadecimal digits")]]
    """A private subnet for each of `zones`, in their order."""
    s3_endpoint: Annotated[Text, form(r"vpce-[0-9a-f]{8,17}", "write vpce- and its hexadecimal digits")]
    """Its gateway endpoint for S3: objects of the stack's bucket are read and written only through it."""
    cidrs: Many[Network]
    """Its addresses: what pods may call, S3 aside."""
    s3_cidrs: Many[Network]
    """S3's addresses in the region, the Cidrs that `aws ec2 describe-prefix-lists` tells."""


class Roles(Section):
    """What the account demands of every role."""

    boundary: Text | None = None
    """ARN of the policy that bounds it."""
    path: Text = "/"
    """Its path."""


class AwsAccount(Section):
    """A private cluster on EKS with its bucket, created by the stack. Region and tags are Pulumi's `aws:…` settings."""

    account: Text
    """AWS account, 12 digits."""
    zones: Many[Text]
    """Availability zones, at least two."""
    admins: Many[Text]
    """ARNs that get cluster-admin; include the deployer's."""
    readers: Many[Text] = ()
    """ARNs that may use the bucket from outside the network, besides the admins."""
    version: Text = "1.35"
    """Kubernetes version, of nodes too."""
    support: Literal["standard", "extended"] = "standard"
    """`standard`: EKS upgrades the cluster when standard support ends; `extended`: later, at six times the price."""
    addons: dict[str, Text] = Field(default_factory=dict)
    """Versions of EKS's add-ons, by name; default: EKS's own choice when they are made."""
    node_release: Text | None = None
    """Release of the nodes' image, as in 1.35.0-20261118; default: the newest when they are made, or get a version."""
    node_repair: bool = True
    """Let EKS find sick nodes, GPUs included, and restart or replace them."""
    public_from: Many[Text] = ()
    """CIDRs that may reach the cluster's API over the internet: where this machine is, at least."""
    reach: Literal["internet", "network"] = "internet"
    """`network`: this machine reaches the network's private addresses, as by a VPN, so `public_from` may be empty."""
    cidr: Text = "10.80.0.0/16"
    """CIDR of the network."""
    vpc: ExistingVpc | None = None
    """A network that exists; default: the stack makes one."""
    nat: bool = False
    """Give nodes internet access through a NAT gateway, for images from other registries; with `vpc`: it has that."""
    roles: Roles = Roles()
    session_manager: bool = False
    """Let people of the account open shells on nodes by Session Manager."""
    observe_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400] | None = None
    """Keep logs and metrics of pods in CloudWatch, for this many days; default: they go with their pods."""
    registry: Text | None = None
    """Mirror for the images of others, such as Kueue, JobSet and the nodes' agents, each at its own path."""
    system_nodes: SystemNodes = SystemNodes()
    protect: bool = True
    """Keep the release bucket when the stack is destroyed."""
    budget: Budget | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The network's addresses."""
        return tuple(self.vpc.cidrs) if self.vpc else (self.cidr,)


class AwsCloud(Queueing, AwsAccount):
    """A private training cluster on EKS, created by the stack. Region and tags are Pulumi's `aws:…` settings."""

    kind: Literal["aws"] = "aws"
    nodes: Nodes
    input_keys: Many[KmsArn] = ()
    """KMS keys of a foundation model's or the data's bucket, if it is encrypted with a key of somebody's own."""
    efa_plugin: Text | None = None
    """Image of AWS's device plugin for EFA, in your region's EKS registry or your own."""


class AssumedRole(Section):
    """A role that Pulumi assumes."""

    model_config = ConfigDict(extra="allow")

    role_arn: Text = Field(alias="roleArn")
    """Its ARN."""


class AwsProvider(Section):
    """Pulumi's AWS settings that the stack relies on; all others are passed to Pulumi."""

    model_config = ConfigDict(extra="ignore")

    region: Text | None = None
    """AWS region."""
    profile: Text | None = None
    """Profile of this machine's AWS configuration."""
    assume_roles: Many[AssumedRole] = Field(default=(), alias="assumeRoles")
    """The role to assume, `[{roleArn: ARN}]`; one at most."""
    default_tags: dict[str, dict[str, Text]] = Field(default_factory=dict, alias="defaultTags")
    """Tags of everything that the stack creates."""
