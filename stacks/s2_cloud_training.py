"""`s2-cloud-training`: train in the public cloud from a foundation model, and hand a signed release out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.aws.errors import CloudError
from components.aws.release_copy import ReleaseCopy
from components.credentials import SigningKey
from components.kubernetes.job_args import SecretKey, TrainingJobArgs
from components.kubernetes.training_job import TrainingJob
from stacks.aws_cloud import aws_cloud
from stacks.cloud import AwsCloud, BucketData, BucketFoundation, KmsKey
from stacks.on_premises import read_local
from stacks.placement import placement_of
from stacks.training_cloud import own_cluster

if TYPE_CHECKING:
    from stacks.settings import CloudTrainingSettings
    from stacks.training_cloud import TrainingCloud

STACK = "s2-cloud-training"
_KEY = "signing.pem"
_FOUNDATION_KEY = "foundation.pem"
_FOUNDATION_IMAGE = "foundation"
_SCRATCH = "/scratch"
# On by default: https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
_IMAGE_VOLUMES_SINCE = 35


def build(settings: CloudTrainingSettings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        CloudError: AWS would refuse what the settings ask for, or it is not safe.
        ClusterError: the cluster would.
        PremisesError: a file of this machine that a setting names cannot be read.

    """
    cloud = (
        aws_cloud(STACK, settings, settings.cloud)
        if isinstance(settings.cloud, AwsCloud)
        else own_cluster(settings.cloud, settings.training)
    )
    key, public, files, before = _signing(settings, cloud)
    gang = settings.training
    job = TrainingJob(
        "training",
        TrainingJobArgs(
            namespace=cloud.platform.namespace,
            queue=cloud.platform.queue,
            kubeconfig=cloud.kubeconfig,
            image=gang.image,
            config=_config(settings, cloud, key),
            pods=gang.pods,
            size=cloud.size,
            service_account=cloud.platform.service_account,
            secret_files=files,
            images=_images(settings),
            environment={
                **cloud.environment,
                **gang.environment,
                **({"TRAINING_EDITION": gang.edition} if gang.edition else {}),
            },
            secret_environment=cloud.secret_environment,
            spread=gang.spread,
            flavors=cloud.platform.flavors,
            wait=gang.wait,
            patience_s=gang.patience_seconds,
        ),
        pulumi.ResourceOptions(provider=cloud.provider, depends_on=[cloud.platform, *cloud.ready, *before]),
    )
    outputs: dict[str, Any] = {
        "scenario": STACK,
        "placement": placement_of(STACK).as_output(),
        "cluster": cloud.cluster,
        "job": job.job,
        "release": job.release,
        "release_uri": cloud.store,
        "verification_key": public,
        "evaluation": job.evaluation,
    }
    if settings.release.export:
        folder = str(Path(settings.release.export).absolute())
        copy = ReleaseCopy("release", store=cloud.store, release=job.release, folder=folder)
        outputs["release_path"] = copy.path
    return outputs


def _config(settings: CloudTrainingSettings, cloud: TrainingCloud, key: str) -> dict[str, Any]:
    """Return what `scenario-model job` reads."""
    found, data = settings.foundation, settings.data
    foundation = found.as_variables()
    if isinstance(found, BucketFoundation):
        foundation |= {"verification_key": f"/keys/{_FOUNDATION_KEY}"} if found.verification_key else {}
    else:
        root = f"/images/{_FOUNDATION_IMAGE}" if found.image else ""
        foundation = {"kind": "directory", "path": f"{root}{found.path}"}
    texts = data.as_variables()
    if isinstance(data, BucketData):
        texts["path"] = texts.pop("uri")
    return {
        "foundation": foundation,
        "data": texts,
        "recipe": settings.recipe.as_variables(),
        "gate": settings.gate.as_variables(),
        "release": {"name": settings.release.name, "channel": settings.release.channel},
        "store": cloud.store,
        "scratch": _SCRATCH,
        "signing_key": key,
        "save_before": cloud.save_before,
    }


def _images(settings: CloudTrainingSettings) -> dict[str, str]:
    """Return what pods read the files of, beside their own image.

    Raises:
        CloudError: the cluster is to be of a version that has no volumes of images.

    """
    found, cloud = settings.foundation, settings.cloud
    if isinstance(found, BucketFoundation) or not found.image:
        return {}
    if isinstance(cloud, AwsCloud) and int(cloud.version.rpartition(".")[2]) < _IMAGE_VOLUMES_SINCE:
        message = (
            f"foundation.image needs Kubernetes 1.{_IMAGE_VOLUMES_SINCE} or later, and cloud:version is "
            f"{cloud.version}; raise it, or put the model into a bucket"
        )
        raise CloudError(message)
    return {_FOUNDATION_IMAGE: found.image}


def _signing(
    settings: CloudTrainingSettings, cloud: TrainingCloud
) -> tuple[str, pulumi.Input[str], dict[str, SecretKey], list[pulumi.Resource]]:
    """Return how the job signs, the key that verifies it, its files, and what must be there before."""
    contents: dict[str, pulumi.Input[str]] = {}
    if isinstance(settings.signing, KmsKey):
        signs = f"kms:{settings.signing.arn}"
        public: pulumi.Input[str] = read_local(
            STACK, "signing.verification_key", settings.signing.verification_key
        )
    else:
        made = SigningKey("signing")
        signs, public = f"/keys/{_KEY}", made.public_key
        contents[_KEY] = made.private_key
    found = settings.foundation
    if isinstance(found, BucketFoundation) and found.verification_key:
        contents[_FOUNDATION_KEY] = read_local(STACK, "foundation.verification_key", found.verification_key)
    if not contents:
        return signs, public, {}, []
    secret = k8s.core.v1.Secret(
        "keys",
        metadata={"name": "training-keys", "namespace": cloud.platform.namespace},
        string_data=contents,
        opts=pulumi.ResourceOptions(provider=cloud.provider, depends_on=[cloud.platform]),
    )
    files = {name: SecretKey(secret="training-keys", key=name) for name in contents}  # noqa: S106 its name
    return signs, public, files, [secret]
