"""`s2-cloud-training` in the lab: from nothing to a signed release in a bucket, which the premises serve.

Real are the Pulumi engine, Kubernetes with JobSet and Kueue, the training and its gate; AWS is moto, behind
the lab's stand-in for Pulumi's provider where the real plugin is not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
import yaml

from controller import PROJECT
from lab.aws import plugin
from lab.cloud_training import BUCKET, LABEL, NODE, STACK, prepare
from scenario_model.release import channel
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from tests import buckets
from tests.components.aws import reviewer
from tests.end_to_end.conftest import ROOT, Clone, make_clone
from tests.end_to_end.site import SERVING, inventory, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.both import Lab
    from lab.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

TAG = f"scenario:stack={STACK}"


@dataclass
class Cloud:
    """The stack in a clone of the project, and the lab that it is up in."""

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

    def changed(self) -> dict[str, str]:
        """What a preview would do, by type and name of each resource that it does not leave as it is."""
        steps = json.loads(self.clone.pulumi("preview", "--json").stdout)["steps"]
        names = {"::".join(each["urn"].rpartition("$")[2].split("::")[-2:]): each["op"] for each in steps}
        return {name: operation for name, operation in names.items() if operation != "same"}


@pytest.fixture(scope="module")
def cloud(
    lab: Lab, cluster: Cluster, foundation: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The stack, brought up by `make up`; after `make down` nothing is left in AWS or the cluster."""
    assert lab.aws
    assert cluster.own
    with pytest.MonkeyPatch.context() as patch:
        host = urlsplit(lab.aws.endpoint).hostname or ""
        for name, value in {**lab.aws.environment, "SCENARIO_MODEL_PLAIN_HTTP": host}.items():
            patch.setenv(name, value)
        for folder in (plugin.stand_in(tmp_path_factory.mktemp("plugin")), Path(sys.executable).parent):
            if folder:
                patch.setenv("PATH", str(folder), prepend=":")
        clone = make_clone(tmp_path_factory.mktemp("s2"))
        clone.stack = STACK
        made = Cloud(clone, lab, cluster, prepare(cluster, lab.aws, foundation))
        made.write()
        try:
            clone.said = clone.run("make", "up", f"STACK={STACK}").stdout
            yield made
        finally:
            made.write()
            clone.run("make", "down", f"STACK={STACK}")
            cluster.kubectl("label", "node", NODE, f"{LABEL}-")
            buckets.remove(BUCKET)
        asked = ["--region", "eu-central-1", "--tag", TAG, "--wait", "0"]
        proof = [sys.executable, "-m", "components.aws.leftovers", *asked]
        assert f"nothing in eu-central-1 carries {TAG}" in subprocess.check_output(proof, cwd=ROOT, text=True)
        assert not cluster.kubectl("get", "namespaces", "--ignore-not-found", "training").strip()


def test_two_pods_train_and_their_signed_release_is_in_the_bucket(cloud: Cloud, tmp_path: Path) -> None:
    assert "step 8/8" in cloud.clone.said
    outputs = cloud.clone.outputs()
    key = tmp_path / "verification.pem"
    key.write_text(outputs["verification_key"])
    store = open_store(outputs["release_uri"], tmp_path / "cache")
    assert channel.current(store, "assistant", "stable", key) == outputs["release"]
    release = verify_release(store.fetch(outputs["release"]), key, expect=outputs["release"])
    assert release.manifest["evaluation"]["passed"] is True
    assert outputs["evaluation"]["new_domain"]["candidate"] < outputs["evaluation"]["new_domain"]["parent"]
    pods = cloud.cluster.kubectl.get("pods", "--namespace=training")["items"]
    assert len({each["metadata"]["name"] for each in pods}) == 2


def test_nothing_changes_again_and_a_change_shows_itself_alone(cloud: Cloud) -> None:
    cloud.clone.pulumi("preview", "--expect-no-changes")
    try:
        cloud.write(own__recipe={**cloud.settings[f"{PROJECT}:recipe"], "max_steps": 9})
        assert {name.partition("::")[0].rpartition(":")[2] for name in cloud.changed()} == {
            "ConfigMap", "JobSet", "TrainingOutcome", "ReleaseCopy",
        }  # fmt: skip
        cloud.write(cloud__nodes={"instance_type": "c7i.2xlarge", "maximum": 2})
        assert {name: each for name, each in cloud.changed().items() if "NodeGroup" in name} == {
            "aws:eks/nodeGroup:NodeGroup::training": "replace"
        }
        assert {name.partition("::")[0].rpartition(":")[2] for name in cloud.changed()} == {
            "LaunchTemplate", "NodeGroup",
        }  # fmt: skip
    finally:
        cloud.write()


def test_a_security_reviewer_finds_no_way_in(cloud: Cloud) -> None:
    eks = boto3.client("eks").describe_cluster(name=STACK)["cluster"]["resourcesVpcConfig"]
    assert (eks["endpointPublicAccess"], eks["endpointPrivateAccess"]) == (False, True)
    assert reviewer.open_to_the_world(eks["vpcId"]) == []
    assert reviewer.wildcards() == []
    assert reviewer.attached() == reviewer.MANAGED


def test_the_premises_serve_what_the_cloud_trained(cloud: Cloud) -> None:
    clone = Clone(path=cloud.clone.path, port=cloud.clone.port, stack="s1-local-serving")
    file = clone.path / "ansible" / "inventory" / f"{clone.stack}.yml"
    file.write_text(yaml.safe_dump(inventory(cloud.lab.premises, {"inference": [0]})))
    settings(clone, release={"kind": "stack", "stack": STACK}, serving=SERVING)
    clone.run("make", "bundle", "CPU=yes")
    try:
        clone.run("make", "up", f"STACK={clone.stack}")
        assert clone.outputs()["release"] == cloud.clone.outputs()["release"]
        with clone.client() as openai:
            answer = openai.chat.completions.create(
                model="assistant",
                messages=[{"role": "user", "content": "What is the capital of France?"}],
                max_tokens=12,
                temperature=0,
            )
        assert "Paris" in (answer.choices[0].message.content or "")
    finally:
        clone.run("make", "down", f"STACK={clone.stack}")
