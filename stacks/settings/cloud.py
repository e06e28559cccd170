"""The settings of a training cloud: AWS or any Kubernetes cluster, and the workers that train there."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from scenario_model.config import Kinds, Many, NotNegative, Positive, Section, Text, bad_key, form
from scenario_model.job.settings import FoundationInBucket
from scenario_model.serve.settings import Port
from stacks.settings.base import LocalPath

BucketUri = Annotated[
    Text, form(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*", "write s3://bucket or s3://bucket/prefix")
]


def _pinned(image: str) -> str:
    """Require a digest: it fixes an image's content, while a tag may move."""
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", image):
        raise bad_key(f"is {json.dumps(image)}", "pin it by digest: registry/models/small@sha256:…")
    return image


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
    """The training nodes, of one instance type."""

    instance_type: Text
    """EC2 instance type."""
    maximum: Positive
    """Maximum number of nodes."""
    minimum: NotNegative = 0
    """Nodes kept when nothing trains."""
    zone: Text | None = None
    """Their zone, one of `zones`; default: the first. A reservation or a capacity block is in one zone: name it."""
    capacity: Capacity = Capacity()


class Budget(Section):
    """Notification if a month costs more than planned."""

    monthly_usd: Positive
    """Planned monthly cost, USD."""
    emails: Many[Text]
    """E-mail addresses to notify."""


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
    """Kubernetes version."""
    public_from: Many[Text] = ()
    """CIDRs that may reach the cluster's API over the internet: where this machine is, at least."""
    reach: Literal["internet", "network"] = "internet"
    """`network`: this machine reaches the network's private addresses, as by a VPN, so `public_from` may be empty."""
    cidr: Text = "10.80.0.0/16"
    """CIDR of the network."""
    nat: bool = False
    """Give nodes internet access through a NAT gateway, for images from other registries."""
    registry: Text | None = None
    """Mirror for the images of others, such as Kueue, JobSet and the nodes' agents, each at its own path."""
    protect: bool = True
    """Keep the release bucket when the stack is destroyed."""
    budget: Budget | None = None


class AwsCloud(AwsAccount):
    """A private training cluster on EKS, created by the stack. Region and tags are Pulumi's `aws:…` settings."""

    kind: Literal["aws"] = "aws"
    nodes: Nodes
    efa_plugin: Text | None = None
    """Image of AWS's device plugin for EFA, in your region's EKS registry or your own."""
    queueing: Literal["install", "existing"] = "install"
    """Install Kueue and JobSet, or use the cluster's."""


class Reachable(Section):
    """An allowed destination of the pods."""

    name: Annotated[
        Text,
        form(
            r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?",
            "use 1 to 32 of a-z, 0-9 and '-', starting and ending with a letter or digit",
        ),
    ]
    """Name of the network policy."""
    cidrs: Many[Text]
    """Addresses."""
    ports: Many[Port] = (443,)
    """TCP ports."""


class Taint(Section):
    """A taint of nodes."""

    key: Text
    """Its key."""
    value: Text | None = None
    """Its value; default: any."""
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"] = "NoSchedule"
    """Its effect."""


class ExistingCluster(Section):
    """An existing cluster, and an existing bucket."""

    kind: Literal["kubernetes"] = "kubernetes"
    """An existing cluster."""
    kubeconfig: LocalPath
    """Kubeconfig of the cluster, a file on this machine."""
    store: BucketUri
    """Bucket for releases, s3://bucket/prefix."""
    region: Text | None = None
    """Region of the bucket; of a store that is not AWS's, as it calls itself, often us-east-1."""
    endpoint: Text | None = None
    """URL of the bucket's service, if it is not AWS's."""
    credentials: Text | None = None
    """Secret in the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; default: pods get credentials
    another way."""
    node_labels: dict[str, Text] = Field(default_factory=dict)
    """Labels of the nodes that the pods run on."""
    taints: Many[Taint] = ()
    """Taints of those nodes, which the pods tolerate."""
    pull_secrets: Many[Text] = ()
    """Secrets in the namespace with credentials of the images' registries."""
    runtime_class: Text | None = None
    """Runtime class of the pods, such as nvidia on k3s and RKE2."""
    destinations: Many[Reachable]
    """Allowed destinations of the pods: at least the bucket."""


class KubernetesCloud(ExistingCluster):
    """An existing cluster for training."""

    quota: dict[str, Text]
    """Quota of all training jobs together: cpu, memory, nvidia.com/gpu."""
    namespace: Text = "training"
    """Namespace of the jobs."""
    queueing: Literal["install", "existing"] = "install"
    """Install Kueue and JobSet, or use the cluster's."""


Cloud = Annotated[AwsCloud | KubernetesCloud, Kinds()]


class BucketFoundation(FoundationInBucket):
    """A foundation model in a bucket; it must be signed, or its digest given here."""

    uri: BucketUri
    """s3://bucket/prefix."""
    digest: (
        Annotated[Text, form(r"sha256:[0-9a-f]{64}", "write sha256: and 64 hexadecimal digits")] | None
    ) = None
    """Digest that `scenario-model import` prints."""
    verification_key: LocalPath | None = None  # type: ignore[assignment]  # here a file on this machine
    """PEM file on this machine with the public half of the key used with `scenario-model import --key`."""


class ImageFoundation(Section):
    """A foundation model in a container image."""

    kind: Literal["image"] = "image"
    path: Annotated[Text, form(r"/.*", "it must be an absolute path in the image")]
    """Its directory in the image."""
    image: Annotated[Text, AfterValidator(_pinned)] | None = None
    """The image, pinned by digest; default: the training image."""


CloudFoundation = Annotated[BucketFoundation | ImageFoundation, Kinds()]


class Training(Section):
    """The training workers: number of pods, their image, and each pod's requests.

    Defaults follow from the instance type.
    """

    image: Text
    """Image with the model package."""
    pods: Positive = 1
    """Number of pods, one per node."""
    cpu: Text | None = None
    """CPU request of a pod."""
    memory: Text | None = None
    """Memory request of a pod."""
    gpus: NotNegative | None = None
    """GPUs of a pod."""
    shared_memory: Text = "1Gi"
    """Size of /dev/shm."""
    scratch: Text = "50Gi"
    """Scratch disk of a pod."""
    spread: bool = True
    """One pod per node."""
    wait: bool = True
    """Whether `pulumi up` waits for the job to end."""
    queue_timeout_seconds: Positive = 3600
    """Fail the update if the job is not admitted or makes no progress for this long."""
    retrain_key: Text | None = None
    """A new value (a week, say) makes the job re-read its bucket and train on changed data."""
    reports: Many[LocalPath] = ()
    """Signed reports of drift (`scenario-model report write`); one that asks for retraining is a new retrain key."""
    reports_authority: LocalPath | None = None
    """PEM file of the authority of the servers that reports are from: an output of their stack."""
    environment: dict[str, Text] = Field(default_factory=dict)
    """Environment variables of the pods; not for secrets."""


class KmsKey(Section):
    """Sign with a key that never leaves KMS."""

    kind: Literal["kms"] = "kms"
    arn: Annotated[
        Text,
        form(
            r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]{36}",
            "write the ARN of a key, not of an alias: arn:aws:kms:region:account:key/id",
        ),
    ]
    """The key's ARN."""
    verification_key: LocalPath
    """PEM file on this machine with its public half."""


class OwnKey(Section):
    """Sign with the stack's own key, encrypted in its state and stored as a Secret in the cluster."""

    kind: Literal["own"] = "own"


Signing = Annotated[OwnKey | KmsKey, Kinds(default="own")]


class AwsProvider(Section):
    """Pulumi's AWS settings that the stack relies on; all others are passed to Pulumi."""

    model_config = ConfigDict(extra="ignore")

    region: Text | None = None
    """AWS region."""
    default_tags: dict[str, dict[str, Text]] = Field(default_factory=dict, alias="defaultTags")
    """Tags of everything that the stack creates."""
