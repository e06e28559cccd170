"""`s2-cloud-training`: train in the public cloud from a foundation model, and export a signed release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.aws.release_copy import ReleaseCopy
from components.credentials import SigningKey
from components.errors import CloudError
from components.kubernetes.job_args import SecretKey, TrainingJobArgs
from components.kubernetes.quantities import amount
from components.kubernetes.training_job import TrainingJob
from scenario_model.data.settings import PythonReference
from scenario_model.evaluate.settings import GateSettings
from scenario_model.job.settings import JobData
from scenario_model.train.settings import Recipe
from stacks.builders.arns import check_key
from stacks.builders.aws import TrainerRights, aws_cloud
from stacks.builders.cluster import existing_cluster
from stacks.builders.local_files import read_local
from stacks.builders.retraining import retrain_key
from stacks.settings.aws import AwsCloud, AwsProvider
from stacks.settings.base import StackSettings
from stacks.settings.cloud import (
    BucketFoundation,
    Cloud,
    CloudFoundation,
    KmsKey,
    OwnKey,
    Signing,
    Training,
)
from stacks.settings.release import Release

if TYPE_CHECKING:
    from stacks.builders.cluster import TrainingCloud

_KEY = "signing.pem"
_FOUNDATION_KEY = "foundation.pem"
_FOUNDATION_IMAGE = "foundation"
_SCRATCH = "/scratch"
# On by default: https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
_IMAGE_VOLUMES_SINCE = 35


class Settings(StackSettings):
    """Settings of a stack of this scenario."""

    cloud: Cloud
    training: Training
    foundation: CloudFoundation
    data: JobData = PythonReference()
    recipe: Recipe = Recipe()
    gate: GateSettings = GateSettings()
    release: Release = Release()
    signing: Signing = OwnKey()
    aws: AwsProvider = AwsProvider()


def build(stack: str, settings: Settings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        CloudError: AWS would refuse the settings, or they are not safe.
        ClusterError: the cluster would refuse them.
        StackError: a file on this machine that a setting refers to cannot be read.

    """
    workers = settings.training
    again = retrain_key(stack, workers, settings.release.name)
    _check_signing(settings)
    if isinstance(settings.cloud, AwsCloud):
        cloud = aws_cloud(stack, settings.cloud, settings.aws, workers, _rights(settings))
    else:
        cloud = existing_cluster(settings.cloud, workers)
    key, public, files, before = _signing(stack, settings, cloud)
    job = TrainingJob(
        "training",
        TrainingJobArgs(
            namespace=cloud.platform.namespace,
            queue=cloud.platform.queue,
            kubeconfig=cloud.kubeconfig,
            image=workers.image,
            config=_config(settings, cloud, key),
            pods=workers.pods,
            size=cloud.size,
            service_account=cloud.platform.service_account,
            secret_files=files,
            images=_images(settings),
            environment={
                **cloud.environment,
                **workers.environment,
                **({"RETRAIN_KEY": again} if again else {}),
            },
            secret_environment=cloud.secret_environment,
            placing=cloud.placing,
            spread=workers.spread,
            nearby=cloud.nearby,
            flavors=cloud.platform.flavors,
            wait=workers.wait,
            queue_timeout_s=workers.queue_timeout_seconds,
        ),
        pulumi.ResourceOptions(provider=cloud.provider, depends_on=[cloud.platform, *cloud.ready, *before]),
    )
    outputs: dict[str, Any] = {
        "cluster": cloud.cluster,
        "job": job.job,
        "release": job.release,
        "release_uri": cloud.store,
        "verification_key": public,
        "evaluation": job.evaluation,
    }
    if settings.release.export:
        folder = str(Path(settings.release.export).absolute())
        copy = ReleaseCopy(
            "release",
            store=cloud.store,
            release=job.release,
            folder=folder,
            reads=cloud.caller,
            region=settings.aws.region if isinstance(settings.cloud, AwsCloud) else settings.cloud.region,
        )
        outputs["release_path"] = copy.path
    return outputs


def _check_signing(settings: Settings) -> None:
    """Refuse a key in KMS that pods would ask for in another region. Raises CloudError."""
    cloud, given = settings.cloud, settings.training.environment
    region = settings.aws.region if isinstance(cloud, AwsCloud) else given.get("AWS_REGION") or cloud.region
    if isinstance(settings.signing, KmsKey) and region:
        remedy = "pods ask KMS there; use a key of it, or a replica, or sign with `kind: own`"
        check_key("signing.arn", settings.signing.arn, region, remedy)


def _rights(settings: Settings) -> TrainerRights:
    """Return what the training pods may read, and sign with."""
    data = settings.data
    inputs = [getattr(settings.foundation, "uri", ""), getattr(data, "path", "")]
    inputs.append(getattr(data, "held_out_path", None) or "")
    buckets = {uri.removeprefix("s3://").partition("/")[0] for uri in inputs if uri.startswith("s3://")}
    return TrainerRights(
        read_buckets=sorted(buckets),
        sign_with=settings.signing.arn if isinstance(settings.signing, KmsKey) else None,
        own_key=isinstance(settings.signing, OwnKey),
    )


def _config(settings: Settings, cloud: TrainingCloud, key: pulumi.Input[str]) -> dict[str, Any]:
    """Return the configuration of `scenario-model job`."""
    found = settings.foundation
    foundation = found.as_given() | {"kind": found.kind}
    if isinstance(found, BucketFoundation):
        foundation |= {"verification_key": f"/keys/{_FOUNDATION_KEY}"} if found.verification_key else {}
    else:
        root = f"/images/{_FOUNDATION_IMAGE}" if found.image else ""
        foundation = {"kind": "directory", "path": f"{root}{found.path}"}
    return {
        "foundation": foundation,
        "data": settings.data.as_given(),
        "recipe": settings.recipe.as_given(),
        "gate": settings.gate.as_given(),
        "release": {"name": settings.release.name, "channel": settings.release.channel},
        "store": cloud.store,
        "scratch": _SCRATCH,
        "scratch_bytes": int(amount(cloud.size.scratch, "training.scratch")),
        "signing_key": key,
        "save_before": cloud.save_before,
    }


def _images(settings: Settings) -> dict[str, str]:
    """Return the images that pods mount, in addition to their own.

    Raises:
        CloudError: the cluster's version does not support image volumes.

    """
    found, cloud = settings.foundation, settings.cloud
    if isinstance(found, BucketFoundation) or not found.image:
        return {}
    if isinstance(cloud, AwsCloud) and int(cloud.version.rpartition(".")[2]) < _IMAGE_VOLUMES_SINCE:
        message = (
            f"foundation.image needs Kubernetes 1.{_IMAGE_VOLUMES_SINCE} or later, but cloud:version is "
            f"{cloud.version}; raise it, or put the model into a bucket"
        )
        raise CloudError(message)
    return {_FOUNDATION_IMAGE: found.image}


def _signing(
    stack: str, settings: Settings, cloud: TrainingCloud
) -> tuple[pulumi.Input[str], pulumi.Input[str], dict[str, SecretKey], list[pulumi.Resource]]:
    """Return how the job signs, the key that verifies it, its files, and the job's prerequisites."""
    contents: dict[str, pulumi.Input[str]] = {}
    signs: pulumi.Input[str]
    public: pulumi.Input[str]
    if cloud.signing_key:
        signs, public = pulumi.Output.concat("kms:", cloud.signing_key.arn), cloud.signing_key.public_key
    elif isinstance(settings.signing, KmsKey):
        signs = f"kms:{settings.signing.arn}"
        public = read_local(stack, "signing.verification_key", settings.signing.verification_key)
    else:
        made = SigningKey("signing")
        signs, public = f"/keys/{_KEY}", made.public_key
        contents[_KEY] = made.private_key
    found = settings.foundation
    if isinstance(found, BucketFoundation) and found.verification_key:
        contents[_FOUNDATION_KEY] = read_local(stack, "foundation.verification_key", found.verification_key)
    if not contents:
        return signs, public, {}, []
    secret = k8s.core.v1.Secret(
        "keys",
        metadata={"name": "training-keys", "namespace": cloud.platform.namespace},
        string_data=contents,
        opts=pulumi.ResourceOptions(provider=cloud.provider, depends_on=[cloud.platform]),
    )
    files = {name: SecretKey(secret="training-keys", key=name) for name in contents}  # noqa: S106 a name, not a secret
    return signs, public, files, [secret]
