"""`.venv/bin/python -m lab.cloud_serving`: prepare the lab for the stack `s4-cloud-serving`.

Its node gets the model package's image, its namespace the keys of a bucket, its inventory is left as it is: every host
that serves is a site. Prints the stack's file.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import yaml

from bootstrap.console import run, say
from lab import LabError, state_folder
from lab.aws import CREDENTIALS, REGION
from lab.aws import lifecycle as aws_side
from lab.images import image, reference
from lab.kubernetes.lifecycle import running as cluster_of
from lab.machine import require
from lab.premises.lifecycle import running as premises_of

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws
    from lab.kubernetes.cluster import Cluster
    from lab.premises.lifecycle import Premises

STACK = "s4-cloud-serving"
NAMESPACE, SECRET, BUCKET = "serving", "bucket", "releases"
_PROJECT = "model-deployment-scenarios"


def prepare(cluster: Cluster, aws: Aws, premises: Premises, release: dict[str, Any]) -> dict[str, Any]:
    """Prepare the lab; return the stack's settings, for a release from where `release` says. Idempotent.

    Raises LabError for a cluster that is not the lab's own.
    """
    if cluster.own is None:
        raise LabError("this cluster was given to the lab", remedy="write the stack's file by hand")
    if reference("model") not in cluster.own.ctr("image", "list", "--quiet"):
        cluster.own.load(image("model"))
    _offer_bucket(aws)
    _hand_over_keys(cluster)
    bucket, host = urlsplit(aws.endpoint), cluster.own.addresses.cloud
    told = {name: value for name, value in aws.environment.items() if name not in CREDENTIALS}
    told |= {"SCENARIO_MODEL_PLAIN_HTTP": bucket.hostname or ""}
    # Every pod and host shares this machine's processors.
    engine = {"engine": {"compile": "off", "threads": 1}}
    return {
        "cloud:kubeconfig": str(cluster.kubeconfig),
        "cloud:kind": "kubernetes",
        "cloud:store": f"s3://{BUCKET}",
        "cloud:credentials": SECRET,
        "cloud:destinations": [
            {"name": "bucket", "cidrs": [f"{bucket.hostname}/32"], "ports": [bucket.port]}
        ],
        "cloud:image": reference("model"),
        "cloud:environment": {**told, "OMP_WAIT_POLICY": "passive"},
        f"{_PROJECT}:release": release,
        f"{_PROJECT}:catalogue": {"host": host},
        f"{_PROJECT}:endpoint": {
            "host": host,
            "replicas": 1,
            "cpu": "250m",
            "memory": "3Gi",
            "serving": {**engine, "drain_seconds": 30},
        },
        f"{_PROJECT}:rollout": {"rings": ["first", "all"], "soak_seconds": 60},
        f"{_PROJECT}:sites": {"rings": {"first": [_first_site(premises)]}},
        f"{_PROJECT}:agent": {"poll_seconds": 10},
        f"{_PROJECT}:serving": {"host": "0.0.0.0", **engine},  # noqa: S104 for clients of the site
        "premises:inventory": str(premises.inventory),
    }


def _first_site(premises: Premises) -> str:
    """The stack's endpoint: the first host that serves, to which demonstrations send their requests."""
    return premises.hosts[1 if len(premises.hosts) > 1 else 0].name


def _offer_bucket(aws: Aws) -> None:
    keys = {key.lower(): value for key, value in CREDENTIALS.items()}
    s3 = boto3.client("s3", endpoint_url=aws.endpoint, region_name=REGION, **keys)
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})


def _hand_over_keys(cluster: Cluster) -> None:
    """Create the Secret with the bucket's keys, in the namespace that the stack takes over."""
    there = cluster.kubectl("get", "namespaces", "--output", "name").split()
    if f"namespace/{NAMESPACE}" not in there:
        cluster.kubectl("create", "namespace", NAMESPACE)
    secrets = cluster.kubectl("get", "secrets", "--namespace", NAMESPACE, "--output", "name").split()
    if f"secret/{SECRET}" not in secrets:
        literals = [f"--from-literal={name}={value}" for name, value in CREDENTIALS.items()]
        cluster.kubectl("create", "secret", "generic", SECRET, "--namespace", NAMESPACE, *literals)


def _bundle() -> dict[str, str]:
    """The settings of the bundle, from which the lab's hosts, without any internet, install the runtime.

    Raises LabError if it was not made.
    """
    made = state_folder().parent
    if not (made / "bundle" / "SHA256SUMS").is_file():
        raise LabError("the hosts have no internet to install from", remedy="make bundle CPU=yes")
    key = made / "bundle-key" / "bundle-verification.pem"
    return {"premises:bundle": str(made / "bundle"), "premises:bundleKey": str(key)}


def main() -> None:
    """Print the stack's file, for `stacks/Pulumi.s4-cloud-serving.yaml`."""
    parser = argparse.ArgumentParser(prog="python -m lab.cloud_serving", description=__doc__)
    parser.add_argument("--release-of", default="s3-local", help="the stack whose release it serves")
    named = parser.parse_args().release_of
    try:
        require()
        cluster, aws = cluster_of(state_folder()), aws_side.running(state_folder())
        premises = premises_of(state_folder())
        if aws is None:
            raise LabError("the lab's AWS is not up", remedy="make lab")
        settings = prepare(cluster, aws, premises, {"kind": "stack", "stack": named}) | _bundle()
        written = yaml.safe_dump({"config": settings}, sort_keys=False)
    except LabError as error:
        sys.exit(f"lab.cloud_serving: {error}")
    print(written, end="")
    say(f"for stacks/Pulumi.{STACK}.yaml; then make up STACK={STACK}")


if __name__ == "__main__":
    run(main)
