"""The settings of a training cloud: where it is, what is trained there, and who signs it."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scenario_model.config import Kinds, Many, NotNegative, Positive, Section, Text, bad_key, form
from scenario_model.job.settings import FoundationInBucket
from stacks.settings.aws import AwsCloud, KmsArn
from stacks.settings.base import LocalPath
from stacks.settings.cluster import BucketUri, KubernetesCloud


def _pinned(image: str) -> str:
    """Require a digest: it fixes an image's content, while a tag may move."""
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", image):
        raise bad_key(f"is {json.dumps(image)}", "pin it by digest: registry/models/small@sha256:…")
    return image


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
    scratch: Text | None = None
    """Scratch disk of a pod, for models and checkpoints; default: on AWS what a node leaves, elsewhere 50Gi."""
    spread: bool = True
    """One pod per node."""
    wait: bool = True
    """Whether `pulumi up` waits for the job to end."""
    queue_timeout_seconds: Positive = 3600
    """Fail the update if the job is not admitted or makes no progress for this long; and pods wait for each other."""
    retrain_key: Text | None = None
    """A new value (a week, say) makes the job re-read its bucket and train on changed data."""
    reports: Many[LocalPath] = ()
    """Signed reports of drift (`scenario-model report write`); one that asks for retraining is a new retrain key."""
    reports_authority: LocalPath | None = None
    """PEM file of the authority of the servers that reports are from: an output of their stack."""
    environment: dict[str, Text] = Field(default_factory=dict)
    """Environment variables of the pods; not for secrets."""


class KmsKey(Section):
    """Sign with a key of yours in KMS."""

    kind: Literal["kms"] = "kms"
    arn: KmsArn
    """The key's ARN."""
    verification_key: LocalPath
    """PEM file on this machine with its public half."""


class SecretKey(Section):
    """Sign with a key that is encrypted in the stack's state, and a Secret in the cluster."""

    kind: Literal["secret"] = "secret"


class OwnKey(Section):
    """Sign with the stack's own key: on AWS in KMS, which it never leaves; elsewhere as a secret."""

    kind: Literal["own"] = "own"


Signing = Annotated[OwnKey | SecretKey | KmsKey, Kinds(default="own")]
