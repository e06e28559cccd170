"""The shipped file of `s2-cloud-training` in the lab: which of its keys are others there, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3

from cli import PROJECT
from components.aws.instance_types import instance_type
from lab.aws import ACCOUNT, plugin
from lab.cloud_training import offer
from lab.kubernetes.machines import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.aws.lifecycle import Aws

FILLED_IN = {
    "cloud:account",
    "cloud:admins",
    f"{PROJECT}:training.image",
    f"{PROJECT}:foundation.uri",
    f"{PROJECT}:foundation.digest",
}
"""What every user fills in; zones and this machine's address may stay."""

CONNECTED = {
    *(f"aws:{name}" for name in plugin.provider_arguments("") if name != "region"),
    f"{PROJECT}:training.environment",  # there is no agent that hands out roles: pods get keys, and the endpoint
    "cloud:charts",  # no registry of charts can be reached
}
"""What connects the engine, and the pods, to the lab's AWS, and takes the charts from a folder."""

SHORTER = {f"{PROJECT}:recipe.max_steps"}
"""What makes the training a short one: the shipped recipe has 78 steps on this data."""

CHARTS = ".state/charts"

# What a node with 8 vCPUs and 32 GiB told (a g4dn.2xlarge, tests/components/aws/test_instance_types.py): 30.227 GiB for
# pods, without what its kubelet kept.
_TOLD_GIB = 30.227 + (255 + 11 * 29 + 100) / 1024
# And the file system of a node with local disks, of twice 900 GB (components/aws/node_disks.py).
_TOLD_KIB_OF_A_GB = 1756689344 / 1800


def machine(instance: str) -> Machine:
    """A machine of a type with 8 vCPUs, 32 GiB and local disks, by what such ones told."""
    row = instance_type(instance)
    assert (row.vcpus, row.memory_gib) == (8, 32)
    return Machine(
        vcpus=row.vcpus,
        memory_kib=int(_TOLD_GIB * 2**20),
        disk_kib=int(_TOLD_KIB_OF_A_GB * row.nvme_gb),
        pods=row.max_pods,
    )


def changes(shipped: Mapping[str, Any], aws: Aws, foundation: Path) -> dict[str, Any]:
    """The shipped file's keys with what is filled in, and those that connect it to the lab."""
    uri, digest = offer(aws, foundation)
    training, model = shipped[f"{PROJECT}:training"], shipped[f"{PROJECT}:foundation"]
    host = urlsplit(aws.endpoint).hostname or ""
    # Two pods share this machine's processors.
    sharing = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    return {
        "cloud:account": ACCOUNT,
        "cloud:admins": [f"arn:aws:sts::{ACCOUNT}:user/moto"],  # as shown by `aws sts get-caller-identity`
        f"{PROJECT}:training": {
            **training,
            "image": training["image"].replace(shipped["cloud:account"], ACCOUNT),
            "environment": {**aws.environment, "SCENARIO_MODEL_PLAIN_HTTP": host, **sharing},
        },
        f"{PROJECT}:foundation": {**model, "uri": uri, "digest": digest},
        "cloud:charts": CHARTS,
        **{f"aws:{name}": value for name, value in plugin.provider_arguments(aws.endpoint).items()},
    }


def shorter(shipped: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The shipped recipe, for so many steps."""
    return {f"{PROJECT}:recipe": {**shipped[f"{PROJECT}:recipe"], "max_steps": steps}}


def differing(shipped: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """The keys, sections' ones with a dot, that are not the same."""
    before, after = flat(shipped), flat(other)
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and key.startswith(f"{PROJECT}:"):
            found |= {f"{key}.{name}": each for name, each in value.items()}
        else:
            found[key] = value
    return found


def push(image: str) -> None:
    """Do what `docker push` does, as far as AWS tells of it: moto has no registry behind it."""
    name, _, tag = image.partition("/")[2].partition(":")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/json", "size": 2, "digest": f"sha256:{'a' * 64}"},
        "layers": [],
    }
    boto3.client("ecr").put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag=tag)
