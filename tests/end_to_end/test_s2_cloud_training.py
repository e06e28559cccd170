"""`s2-cloud-training` in the lab: from nothing to a signed release in a bucket, which the premises serve.

On the way its engine is killed once, and a tiny model is trained. The whole campaign kills twenty times, from
nothing each time, and trains SmolLM2.

Real are the Pulumi engine, Kubernetes with JobSet and Kueue, the training and its gate; AWS is moto, behind
the lab's stand-in for Pulumi's provider where the real plugin is not installed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import boto3
import pytest
import yaml

from cli import PROJECT
from lab import lock
from lab.cloud_training import STACK
from lab.premises.lifecycle import bring_up
from scenario_model.release import channel
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from tests.campaigns import sizes
from tests.components.aws import reviewer
from tests.end_to_end.cloud import Cloud, clone_for, killed, tiny_training
from tests.end_to_end.conftest import Clone
from tests.end_to_end.site import SERVING, inventory, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from lab.premises.lifecycle import Premises

EVENTS = 170
"""Lines of an update that tell of a resource."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module", params=sizes(1, soak=20, hours=3))
def cloud(
    request: pytest.FixtureRequest, lab: Lab, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The stack, brought up by `make up` after a kill; after `make down` nothing is left anywhere."""
    kills: int = request.param
    foundation: Path = request.getfixturevalue("tiny_foundation" if kills == 1 else "foundation")
    with clone_for(lab, cluster, foundation, tmp_path_factory.mktemp("s2")) as made:
        if kills == 1:
            made.settings |= tiny_training()
        workers, moments = made.settings[f"{PROJECT}:training"], random.Random("cloud")
        for left in reversed(range(kills)):
            made.write(own__training={**workers, "wait": not left})
            place = killed(made, moments.randrange(1, EVENTS))
            print(f"{left} kills left, after {place!r}: {made.untracked().strip() or 'nothing was lost'}")
            made.clone.said = made.up()
            assert made.untracked() == ""
            if left:
                made.clone.pulumi("preview", "--expect-no-changes")
                made.down()
        made.write()
        yield made


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
        changed = cloud.changed()
        assert {name: each for name, each in changed.items() if "NodeGroup" in name} == {
            "aws:eks/nodeGroup:NodeGroup::training": "replace"
        }
        assert {name.partition("::")[0].rpartition(":")[2] for name in changed} == {
            "AccountCheck", "LaunchTemplate", "NodeGroup",
        }  # fmt: skip
    finally:
        cloud.write()


def test_a_security_reviewer_finds_no_way_in(cloud: Cloud) -> None:
    eks = boto3.client("eks").describe_cluster(name=STACK)["cluster"]["resourcesVpcConfig"]
    assert (eks["endpointPublicAccess"], eks["endpointPrivateAccess"]) == (False, True)
    assert reviewer.open_to_the_world(eks["vpcId"]) == []
    assert reviewer.wildcards() == []
    assert reviewer.attached() == reviewer.MANAGED


@pytest.fixture
def premises(lab: Lab, laid_runtime: Path) -> Iterator[Premises]:
    """The lab's premises with a second host, which has the runtime."""
    folder = lab.premises.space.folder
    with lock.exclusive(folder):
        made = bring_up(folder, 2, over=[laid_runtime])
    yield made
    with lock.exclusive(folder):
        bring_up(folder, 1)


# `make test` serves releases of another stack in test_several_stacks.py.
@pytest.mark.parametrize(
    "cloud", [pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(3 * 3600)])], indirect=True
)
def test_the_premises_serve_what_the_cloud_trained(cloud: Cloud, premises: Premises) -> None:
    clone = Clone(path=cloud.clone.path, port=cloud.clone.port, stack="s1-local-serving")
    file = clone.path / "ansible" / "inventory" / f"{clone.stack}.yml"
    file.write_text(yaml.safe_dump(inventory(premises, {"inference": [1]})))
    settings(clone, bundled=False, release={"kind": "stack", "stack": STACK}, serving=SERVING)
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
        assert answer.usage
        assert 0 < answer.usage.completion_tokens <= 12
        assert "Paris" in (answer.choices[0].message.content or "")
    finally:
        clone.run("make", "down", f"STACK={clone.stack}")
