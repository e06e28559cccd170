"""The settings of a training cloud: AWS or any Kubernetes cluster, and the gang of pods that trains there."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from stacks.sections import LocalPath, NotNegative, Positive, Section, Share

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
BucketUri = Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


def _pinned(image: str) -> str:
    """Insist on a digest: it vouches for what is in an image, and a tag may be another one tomorrow."""
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", image):
        raise ValueError("write the image with its digest, as in registry/models/small@sha256:…")
    return image


PinnedImage = Annotated[str, AfterValidator(_pinned)]


class Capacity(Section):
    """How nodes are come by; `reservation` and `ends` (ISO 8601 with a zone) are those of what was bought."""

    kind: Literal["on-demand", "spot", "reservation", "capacity-block"] = "on-demand"
    reservation: Text | None = None
    placement_group: Text | None = None
    ends: Text | None = None


class Nodes(Section):
    """The nodes that train: between `minimum`, which may be 0, and `maximum` of one instance type."""

    instance_type: Text
    maximum: Positive
    minimum: NotNegative = 0
    capacity: Capacity = Capacity()


class Budget(Section):
    """Who is told when a month costs more than was meant."""

    monthly_usd: Positive
    emails: tuple[Text, ...]


class AwsCloud(Section):
    """A private training cluster on EKS, made by the stack. Region and tags are Pulumi's `aws:…` settings.

    `admins` may do everything in the cluster; name the deployer. `readers` may fetch releases from outside of
    the network; left out, the admins. `registry` mirrors the images of Kueue, JobSet and the nodes' agents,
    each at its own path; without `nat` nodes reach no other. `efa_plugin`: the image of AWS's plugin for EFA.
    """

    kind: Literal["aws"]
    account: Text
    zones: tuple[Text, ...]
    admins: tuple[Text, ...]
    nodes: Nodes
    readers: tuple[Text, ...] = ()
    version: Text = "1.35"
    public_from: tuple[Text, ...] = ()
    cidr: Text = "10.80.0.0/16"
    nat: bool = False
    registry: Text | None = None
    efa_plugin: Text | None = None
    protect: bool = True
    budget: Budget | None = None
    queueing: Literal["install", "there"] = "install"


class Reachable(Section):
    """What pods may call: addresses as CIDRs, and TCP ports."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")]
    cidrs: tuple[Text, ...]
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443,)


class KubernetesCloud(Section):
    """A cluster that is there, and a bucket that is there; pods get the bucket's keys from `credentials`.

    `quota` is what gangs together may have of cpu, memory, nvidia.com/gpu. `credentials` is a Secret in
    `namespace` with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; left out, pods have them otherwise.
    """

    kind: Literal["kubernetes"]
    kubeconfig: LocalPath
    store: BucketUri
    quota: dict[str, str]
    namespace: Text = "training"
    credentials: Text | None = None
    node_labels: dict[str, str] = Field(default_factory=dict)
    destinations: tuple[Reachable, ...]
    queueing: Literal["install", "there"] = "install"


class BucketFoundation(Section):
    """A foundation model in a bucket: signed (`verification_key`, a file here), or known by its digest."""

    kind: Literal["bucket"]
    uri: BucketUri
    digest: Digest | None = None
    verification_key: LocalPath | None = None


class ImageFoundation(Section):
    """A foundation model at `path` of an image: its own, `image` in a registry, or that which trains."""

    kind: Literal["image"]
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    image: PinnedImage | None = None


class ReferenceData(Section):
    """The reference of the Python language, which every Python carries; split by topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: Share = 0.1


class BucketData(Section):
    """Training data of one's own in a bucket: chat JSONL, or plain text."""

    kind: Literal["chat", "text"]
    uri: BucketUri
    held_out: Share = 0.1


class Gang(Section):
    """The pods that train: how many, of which image, and what each asks of its node.

    What is left out follows from the instance type. `environment` is for what is no secret. Another `edition`
    (of a week, say) looks at the data again: what has changed in its bucket is trained on.
    """

    image: Text
    pods: Positive = 1
    cpu: Text | None = None
    memory: Text | None = None
    gpus: NotNegative | None = None
    shared_memory: Text = "1Gi"
    scratch: Text = "50Gi"
    spread: bool = True
    wait: bool = True
    patience_seconds: Positive = 3600
    edition: Text | None = None
    environment: dict[str, str] = Field(default_factory=dict)


class KmsKey(Section):
    """Sign with a key that never leaves KMS; `verification_key` is a file here with its public half, PEM."""

    kind: Literal["kms"]
    arn: Annotated[str, StringConstraints(pattern=r"^arn:aws:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]{36}$")]
    verification_key: LocalPath


class OwnKey(Section):
    """Sign with a key of the stack's own, encrypted in its state, and a Secret in the cluster."""

    kind: Literal["own"] = "own"


class CloudRelease(Section):
    """What releases are called, which channel is promoted, and where a copy is put for other stacks."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "assistant"
    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "stable"
    export: LocalPath | None = None


class AwsProvider(BaseModel):
    """What of Pulumi's own settings for AWS the stack stands on; all others are Pulumi's business."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    region: Text | None = None
    default_tags: dict[str, dict[str, str]] = Field(default_factory=dict, alias="defaultTags")
