"""The stack `s2-cloud-training` in a clone of the project, with the lab as its cloud."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
import yaml

from cli import PROJECT
from lab.aws import CREDENTIALS, REGION, plugin
from lab.cloud_training import BUCKET, LABEL, NODE, STACK, prepare
from tests import buckets
from tests.chapters import ALL
from tests.end_to_end.conftest import ROOT, Clone, make_clone
from tests.killed_engine import killed_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster

_ASKED = ("--region", "eu-central-1", "--tag", f"scenario:stack={STACK}")


@dataclass
class Cloud:
    """The stack, and the lab that it is brought up in."""

    clone: Clone
    lab: Lab
    cluster: Cluster
    settings: dict[str, Any]

    def write(self, **changes: Any) -> None:
        """Write the stack's file, with these keys (`namespace__key`) changed."""
        names = {name: name.replace("own__", f"{PROJECT}:").replace("__", ":") for name in changes}
        wanted = self.settings | {names[name]: value for name, value in changes.items()}
        file = self.clone.path / "stacks" / f"Pulumi.{STACK}.yaml"
        written = yaml.safe_load(file.read_text())
        kept = {key: value for key, value in written.items() if key == "encryptionsalt"}
        file.write_text(yaml.safe_dump({**kept, "config": wanted}))

    def move(self, path: Path) -> None:
        """Go on from another checkout, which shares nothing with the first but the backend and the stack's file."""
        clone = make_clone(path)
        self.clone = replace(clone, stack=self.clone.stack, backend=self.clone.backend)
        self.write()

    def changed(self) -> dict[str, str]:
        """What a preview would do, by type and name of each resource that it does not leave as it is."""
        steps = json.loads(self.clone.pulumi("preview", "--json").stdout)["steps"]
        names = {"::".join(each["urn"].rpartition("$")[2].split("::")[-2:]): each["op"] for each in steps}
        return {name: operation for name, operation in names.items() if operation != "same"}

    def up(self) -> str:
        """Bring it up; what `make up` says."""
        return self.clone.run("make", "up", f"STACK={STACK}").stdout

    def down(self) -> None:
        """Take it down, and insist that nothing of it is left in AWS or the cluster."""
        self.clone.run("make", "down", f"STACK={STACK}")
        proof = [sys.executable, "-m", "recovery.aws.tagged", *_ASKED, "--wait", "0"]
        done = subprocess.run(proof, cwd=ROOT, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not self.cluster.kubectl("get", "namespaces", "--ignore-not-found", "training").strip()

    def untracked(self) -> str:
        """What the account has of the stack and the stack does not know; an empty text where nothing is."""
        export = self.clone.pulumi("stack", "export").stdout
        asked = [sys.executable, "-m", "recovery.aws.untracked", *_ASKED]
        return subprocess.run(asked, cwd=ROOT, text=True, input=export, capture_output=True).stderr


@contextlib.contextmanager
def clone_for(lab: Lab, cluster: Cluster, foundation: Path, folder: Path) -> Iterator[Cloud]:
    """A clone with the stack's settings for this lab, which is ready for it; it is taken down in the end."""
    assert lab.aws
    with at_the_lab(lab, cluster, folder) as made:
        made.settings = prepare(cluster, lab.aws, foundation)
        made.write()
        try:
            yield made
        finally:
            made.write()
            try:
                made.down()
            finally:
                cluster.kubectl("label", "node", NODE, f"{LABEL}-")
                buckets.remove(BUCKET)


@contextlib.contextmanager
def at_the_lab(lab: Lab, cluster: Cluster, folder: Path) -> Iterator[Cloud]:
    """A clone with the file as it is shipped, on a machine whose AWS is the lab's."""
    assert lab.aws
    with pytest.MonkeyPatch.context() as patch:
        host = urlsplit(lab.aws.endpoint).hostname or ""
        for name, value in {**lab.aws.environment, "SCENARIO_MODEL_PLAIN_HTTP": host}.items():
            patch.setenv(name, value)
        for programs in (plugin.stand_in(folder / "plugin"), Path(sys.executable).parent):
            if programs:
                patch.setenv("PATH", str(programs), prepend=":")
        clone = make_clone(folder / "clone")
        clone.stack = STACK
        shipped = yaml.safe_load((clone.path / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
        yield Cloud(clone, lab, cluster, shipped["config"])


def own_cluster(cloud: Cloud) -> dict[str, Any]:
    """The guide's example for a cluster of one's own, and that cluster: its nodes are tainted, its registry private.

    Other than in the guide are the paths and addresses of this lab, and that Kueue and JobSet are there.
    """
    assert cloud.lab.aws
    assert cloud.cluster.own
    example = documented()
    _have(cloud.cluster, example)
    kept = {name: value for name, value in cloud.settings.items() if name.startswith(f"{PROJECT}:")}
    workers = kept[f"{PROJECT}:training"]
    ours = {*CREDENTIALS, "AWS_REGION", "AWS_ENDPOINT_URL"}  # the settings say it, as the guide does
    told = {name: value for name, value in workers["environment"].items() if name not in ours}
    bucket = urlsplit(cloud.lab.aws.endpoint)
    (destination,) = example["cloud:destinations"]
    return {
        **kept,
        **example,
        f"{PROJECT}:training": {**workers, "environment": told},
        "cloud:kubeconfig": str(cloud.cluster.kubeconfig),
        "cloud:endpoint": cloud.lab.aws.endpoint,
        "cloud:region": REGION,
        "cloud:destinations": [destination | {"cidrs": [f"{bucket.hostname}/32"], "ports": [bucket.port]}],
        "cloud:queueing": "existing",
    }


def documented() -> dict[str, Any]:
    """The settings in the guide's example."""
    guide = (ROOT / "docs" / f"{STACK}.md").read_text()
    example = guide.partition("## With an existing cluster")[2].partition("```yaml\n")[2].partition("```")[0]
    found = yaml.safe_load(example)["config"]
    assert isinstance(found, dict)
    return found


def _have(cluster: Cluster, example: dict[str, Any]) -> None:
    """Give the cluster what the example says that it has."""
    kubectl = cluster.kubectl
    kubectl("create", "namespace", "training")
    literals = [f"--from-literal={name}={value}" for name, value in CREDENTIALS.items()]
    kubectl("create", "secret", "generic", example["cloud:credentials"], "-n", "training", *literals)
    (registry,) = example["cloud:pull_secrets"]
    account = ["--docker-server=registry.example", "--docker-username=team", "--docker-password=secret"]
    kubectl("create", "secret", "docker-registry", registry, "-n", "training", *account)
    for name, value in example["cloud:node_labels"].items():
        kubectl("label", "node", NODE, f"{name}={value}", "--overwrite")
    (taint,) = example["cloud:taints"]
    kubectl("taint", "node", NODE, f"{taint['key']}=present:NoSchedule", "--overwrite")
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass"}
    kubectl.apply([kind | {"metadata": {"name": example["cloud:runtime_class"]}, "handler": "runc"}])
    store = example["cloud:store"].removeprefix("s3://").partition("/")[0]
    boto3.client("s3").create_bucket(Bucket=store, CreateBucketConfiguration={"LocationConstraint": REGION})


def have_not(cluster: Cluster) -> None:
    """Take away again what the example has."""
    example = documented()
    for name in example["cloud:node_labels"]:
        cluster.kubectl("label", "node", NODE, f"{name}-")
    for taint in example["cloud:taints"]:
        cluster.kubectl("taint", "node", NODE, f"{taint['key']}-")
    cluster.kubectl("delete", "runtimeclass", example["cloud:runtime_class"])
    buckets.remove(example["cloud:store"].removeprefix("s3://").partition("/")[0])


def tiny_training(texts: Iterable[str] = ALL) -> dict[str, Any]:
    """Settings for a tiny model and a few texts, put into the bucket: seconds instead of minutes."""
    add_texts(texts)
    recipe = {"method": "full", "max_steps": 8, "epochs": 200, "sequence_length": 128}
    return {
        f"{PROJECT}:data": {"kind": "text", "path": f"s3://{BUCKET}/texts", "held_out": 0.4},
        f"{PROJECT}:gate": {"old_domain_margin": 100.0, "confidence": 0.5, "resamples": 100},
        f"{PROJECT}:recipe": {**recipe, "checkpoint_every_steps": 4},
    }


def add_texts(texts: Iterable[str]) -> None:
    """Put more texts into the bucket that a tiny training reads."""
    s3 = boto3.client("s3")
    there = s3.list_objects_v2(Bucket=BUCKET, Prefix="texts/").get("KeyCount", 0)
    for number, text in enumerate(texts, start=there):
        s3.put_object(Bucket=BUCKET, Key=f"texts/{number:02}.txt", Body=text.encode())


def killed(cloud: Cloud, event: int) -> str:
    """Bring it up and kill the engine after so many events; return the last."""
    command = ["make", "up", f"STACK={STACK}"]
    environment = cloud.clone.environment()
    with subprocess.Popen(
        command, cwd=cloud.clone.path, env=environment, text=True, stdout=subprocess.PIPE
    ) as make:
        last = killed_after(event, make)
    assert make.returncode, "make up noticed"
    return last
