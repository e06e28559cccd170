"""`.venv/bin/python -m lab.cloud_training FOUNDATION`: prepare the lab for the stack `s2-cloud-training`.

Its node gets the model package's image and the label of training nodes; a foundation model created by
`scenario-model import` is uploaded to a bucket of the lab's AWS. Prints the stack's file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import yaml

from bootstrap.console import run, say
from lab import LabError, state_folder
from lab.aws import ACCOUNT, CREDENTIALS, REGION, lifecycle, plugin
from lab.images import image, reference
from lab.kubernetes.lifecycle import running
from lab.machine import require

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws
    from lab.kubernetes.cluster import Cluster

STACK = "s2-cloud-training"
NODE, LABEL = "cloud-1", "scenario/nodes"
_PROJECT = "model-deployment-scenarios"
BUCKET = "models"


def prepare(cluster: Cluster, aws: Aws, foundation: Path) -> dict[str, Any]:
    """Prepare the lab; return the stack's settings. Idempotent.

    Raises LabError for a cluster that is not the lab's own, and for a folder without an imported model.
    """
    if cluster.own is None:
        raise LabError("this cluster was given to the lab", remedy="use cloud:kind: kubernetes for it")
    uri, digest = offer(aws, foundation)
    if reference("model") not in cluster.own.ctr("image", "list", "--quiet"):
        cluster.own.load(image("model"))
    cluster.kubectl("label", "node", NODE, f"{LABEL}=training", "--overwrite")
    host = urlsplit(aws.endpoint).hostname or ""
    told = {**aws.environment, "SCENARIO_MODEL_PLAIN_HTTP": host}
    # Two pods share this machine's processors.
    told |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    workers = {"image": reference("model"), "pods": 2, "spread": False, "environment": told}
    size = {"cpu": "500m", "memory": "4Gi", "shared_memory": "64Mi", "scratch": "10Gi"}
    return {f"aws:{name}": value for name, value in plugin.provider_arguments(aws.endpoint).items()} | {
        "aws:defaultTags": {"tags": {"scenario:stack": STACK}},
        "cloud:kind": "aws",
        "cloud:account": ACCOUNT,
        "cloud:zones": [f"{REGION}a", f"{REGION}b"],
        "cloud:admins": [f"arn:aws:sts::{ACCOUNT}:user/moto"],  # as shown by `aws sts get-caller-identity`
        "cloud:reach": "network",  # the lab's cluster is on this machine
        "cloud:nodes": {"instance_type": "c7i.xlarge", "maximum": 2},
        "cloud:queueing": "existing",
        "cloud:protect": False,
        f"{_PROJECT}:training": workers | size,
        f"{_PROJECT}:foundation": {"kind": "bucket", "uri": uri, "digest": digest},
        f"{_PROJECT}:recipe": {"method": "lora", "max_steps": 8, "checkpoint_every_steps": 4},
        f"{_PROJECT}:release": {"export": ".state/releases"},
    }


def offer(aws: Aws, foundation: Path) -> tuple[str, str]:
    """Upload an imported foundation model to a bucket; return its URL and digest. Raises LabError."""
    try:
        digest = json.loads((foundation / "foundation.json").read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError):
        remedy = "use a folder created by `scenario-model import`"
        raise LabError(f"{foundation} contains no imported model", remedy=remedy) from None
    keys = {key.lower(): value for key, value in CREDENTIALS.items()}
    s3 = boto3.client("s3", endpoint_url=aws.endpoint, region_name=REGION, **keys)
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for path in sorted(foundation.rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), BUCKET, f"{foundation.name}/{path.relative_to(foundation).as_posix()}")
    return f"s3://{BUCKET}/{foundation.name}", str(digest)


def main() -> None:
    """Print the stack's file, for `stacks/Pulumi.s2-cloud-training.yaml`."""
    parser = argparse.ArgumentParser(prog="python -m lab.cloud_training", description=__doc__)
    parser.add_argument("foundation", type=Path, help="a folder created by `scenario-model import`")
    foundation = parser.parse_args().foundation
    try:
        require()
        cluster, aws = running(state_folder()), lifecycle.running(state_folder())
        if aws is None:
            raise LabError("the lab's AWS is not up", remedy="make lab")
        written = yaml.safe_dump({"config": prepare(cluster, aws, foundation)}, sort_keys=False)
    except LabError as error:
        sys.exit(f"lab.cloud_training: {error}")
    print(written, end="")
    say(f"for stacks/Pulumi.{STACK}.yaml; then make up STACK={STACK}")


if __name__ == "__main__":
    run(main)
