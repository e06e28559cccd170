"""The settings of a training cloud: AWS or any Kubernetes cluster, and the workers that train there."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from scenario_model.config import Kinds, Many, NotNegative, Positive, Section, Text, bad_key
from scenario_model.job.settings import FoundationInBucket
from scenario_model.serve.settings import Port
from stacks.settings.base import LocalPath

BucketUri = Annotated[Text, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*$")]


def _pinned(image: str) -> str:
    """Insist on a digest: it vouches for what is in an image, and a tag may be another one tomorrow."""
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", image):
        raise bad_key(f"is {json.dumps(image)}", "write it with its digest: registry/models/small@sha256:…")
    return image


class Capacity(Section):
    """How GPU capacity is purchased."""

    kind: Literal["on-demand", "spot", "reservation", "capacity-block"] = "on-demand"
    """The way of purchase."""
    reservation: Text | None = None
    """ID of the reservation or the capacity block."""
    placement_group: Text | None = None
    """Placement group of the reservation."""
    ends: Text | None = None
    """When it ends, ISO 8601 with a zone."""


class Nodes(Section):
    """The nodes that train, of one instance type."""

    instance_type: Text
    """EC2 instance type."""
    maximum: Positive
    """Most nodes at once."""
    minimum: NotNegative = 0
    """Nodes that stay when nothing trains."""
    capacity: Capacity = Capacity()


class Budget(Section):
    """Who is notified when a month costs more than planned."""

    monthly_usd: Positive
    """Planned cost of a month, USD."""
    emails: Many[Text]
    """Who is notified."""


class AwsCloud(Section):
    """A private training cluster on EKS, made by the stack. Region and tags are Pulumi's `aws:…` settings."""

    kind: Literal["aws"] = "aws"
    account: Text
    """AWS account, 12 digits."""
    zones: Many[Text]
    """Availability zones, at least two."""
    admins: Many[Text]
    """ARNs with cluster-admin rights; include the deployer's."""
    nodes: Nodes
    readers: Many[Text] = ()
    """ARNs that may fetch releases from outside the network; left out: the admins."""
    version: Text = "1.35"
    """Kubernetes version."""
    public_from: Many[Text] = ()
    """CIDRs that reach the cluster's API from outside; left out: none."""
    cidr: Text = "10.80.0.0/16"
    """Addresses of the network."""
    nat: bool = False
    """Give nodes a way out, for images of other registries."""
    registry: Text | None = None
    """Mirror of the images of Kueue, JobSet and the nodes' agents, each at its own path."""
    efa_plugin: Text | None = None
    """Image of AWS's device plugin for EFA, in your region's registry of EKS or in yours."""
    protect: bool = True
    """Keep the release bucket when the stack is destroyed."""
    budget: Budget | None = None
    queueing: Literal["install", "existing"] = "install"
    """Kueue and JobSet: install them, or use the cluster's."""


class Reachable(Section):
    """What pods may call."""

    name: Annotated[Text, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")]
    """Name of the network policy."""
    cidrs: Many[Text]
    """Addresses."""
    ports: Many[Port] = (443,)
    """TCP ports."""


class KubernetesCloud(Section):
    """An existing cluster, and an existing bucket."""

    kind: Literal["kubernetes"] = "kubernetes"
    kubeconfig: LocalPath
    """Access to the cluster, a file on this machine."""
    store: BucketUri
    """Bucket for releases, s3://bucket/prefix."""
    quota: dict[str, Text]
    """What training jobs together may use of cpu, memory, nvidia.com/gpu."""
    namespace: Text = "training"
    """Namespace of the jobs."""
    credentials: Text | None = None
    """Secret in the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; left out: pods have them otherwise."""
    node_labels: dict[str, Text] = Field(default_factory=dict)
    """Labels of the nodes that train."""
    destinations: Many[Reachable]
    """What pods may call: the bucket, at least."""
    queueing: Literal["install", "existing"] = "install"
    """Kueue and JobSet: install them, or use the cluster's."""


Cloud = Annotated[AwsCloud | KubernetesCloud, Kinds()]


class BucketFoundation(FoundationInBucket):
    """A foundation model in a bucket; it must be signed, or have its digest named here."""

    uri: BucketUri
    """s3://bucket/prefix."""
    digest: Annotated[Text, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest that `scenario-model import` prints."""
    verification_key: LocalPath | None = None  # type: ignore[assignment]  # here a file of this machine
    """PEM file on this machine, of the key that `scenario-model import --key` signed with."""


class ImageFoundation(Section):
    """A foundation model in a container image."""

    kind: Literal["image"] = "image"
    path: Annotated[Text, Field(pattern=r"^/")]
    """Its directory in the image."""
    image: Annotated[Text, AfterValidator(_pinned)] | None = None
    """The image, pinned by its digest; left out: the image that trains."""


CloudFoundation = Annotated[BucketFoundation | ImageFoundation, Kinds()]


class Training(Section):
    """The workers that train: how many pods, of which image, and what each requests.

    What is left out follows from the instance type.
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
    """Let `pulumi up` wait for the job's end."""
    queue_timeout_seconds: Positive = 3600
    """Fail an update whose job is not admitted or makes no progress for this long."""
    retrain_key: Text | None = None
    """Another key (a week, say) looks at the data again: what has changed in its bucket is trained on."""
    environment: dict[str, Text] = Field(default_factory=dict)
    """Environment variables of the pods; not for secrets."""


class KmsKey(Section):
    """Sign with a key that never leaves KMS."""

    kind: Literal["kms"] = "kms"
    arn: Annotated[Text, Field(pattern=r"^arn:aws:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]{36}$")]
    """The key's ARN."""
    verification_key: LocalPath
    """PEM file on this machine with its public half."""


class OwnKey(Section):
    """Sign with a key of the stack's own, encrypted in its state, and a Secret in the cluster."""

    kind: Literal["own"] = "own"


Signing = Annotated[OwnKey | KmsKey, Kinds(default="own")]


class AwsProvider(Section):
    """Pulumi's own settings for AWS that the stack stands on; all others are Pulumi's."""

    model_config = ConfigDict(extra="ignore")

    region: Text | None = None
    """AWS region."""
    default_tags: dict[str, dict[str, Text]] = Field(default_factory=dict, alias="defaultTags")
    """Tags of everything that the stack makes."""
