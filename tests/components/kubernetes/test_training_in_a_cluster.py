"""The real training in pods, with a tiny model: on one pod and on two; killed, evicted, or left alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest

from lab.images import reference
from scenario_model.digests import tree_digest
from scenario_model.foundation.importer import NOT_COUNTED
from scenario_model.signing import keys
from tests import buckets
from tests.chapters import write_chapters
from tests.components.kubernetes.conftest import ANY, Stack
from tests.components.kubernetes.jobs import SMALL
from tests.conftest import SHARING
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lab.compose import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BUCKET = "training-in-a-cluster"
STEPS = 60  # so that what disturbs it, which is done when a step is seen, still finds it training
WITH_DISK = {**ANY, "quota": {"cpu": "1", "memory": "16Gi", "ephemeral-storage": "4Gi"}}
RECIPE = {"method": "full", "max_steps": STEPS, "epochs": 200, "sequence_length": 128}


class Runs:
    """Trains in a stack, again and again, each time with a store of its own, and so anew."""

    def __init__(self, stack: Stack, lab: Lab, foundation: str) -> None:
        assert lab.aws
        self.stack, self.reached, self.foundation = stack, lab.aws, foundation
        self.outputs: dict[str, Any] = {}

    def shape(self, name: str, pods: int) -> dict[str, Any]:
        host = urlsplit(self.reached.endpoint).hostname
        config = {
            "foundation": {"kind": "bucket", "uri": f"s3://{BUCKET}/tiny", "digest": self.foundation},
            "data": {"kind": "text", "path": f"s3://{BUCKET}/texts", "held_out": 0.4},
            "gate": {"old_domain_margin": 100.0, "confidence": 0.5, "resamples": 100},
            "recipe": {**RECIPE, "checkpoint_every_steps": 10},
            "store": f"s3://{BUCKET}/{name}",
            "scratch": "/scratch",
            "scratch_bytes": 2**30,
            "signing_key": "/keys/signing.pem",
        }
        job = {
            "image": reference("model"),
            "pods": pods,
            "size": {**SMALL, "memory": "2Gi", "scratch_reserved": True},
            "spread": False,
            "config": config,
            "secrets": {"file": "key", "environment": "token"},
            "environment": {
                **self.reached.environment,
                "SCENARIO_MODEL_PLAIN_HTTP": host,
                **SHARING,
                "OMP_NUM_THREADS": "1",
            },
        }
        return self.stack.shape(job, flavors=[WITH_DISK])

    def train(self, name: str, pods: int, disturb: Sequence[tuple[int, Callable[[], None]]] = ()) -> str:
        """Go up; `disturb` says what is done as soon as a step is seen."""
        said, still = "", list(disturb)
        with self.stack.project.start("up", "--yes", "--skip-preview", **self.shape(name, pods)) as up:
            assert up.stdout
            for line in up.stdout:
                said += line
                if ": step " not in line or not still:
                    continue
                if int(line.partition(": step ")[2].partition("/")[0]) >= still[0][0]:
                    still.pop(0)[1]()
        assert up.returncode == 0, said
        assert not still, "it ended before it was disturbed"
        self.outputs = json.loads(self.stack.project.pulumi("stack", "output", "--json"))
        return said

    def losses(self) -> dict[int, float]:
        """The loss of each step that the last leader took."""
        (leader,) = [each for each in self.stack.pods() if "-workers-0-0-" in each["metadata"]["name"]]
        asked = ("logs", leader["metadata"]["name"], "-n", self.stack.namespace)
        lines = self.stack.cluster.kubectl(*asked).splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        assert told, lines[-20:]
        return {each["step"]: each["loss"] for each in told if "step" in each}

    def second(self) -> str:
        (pod,) = [each for each in self.stack.pods() if "-workers-0-1-" in each["metadata"]["name"]]
        return str(pod["metadata"]["name"])

    def kill(self) -> None:
        self.stack.cluster.kubectl(
            *("delete", "pod", self.second(), "-n", self.stack.namespace, "--grace-period=0", "--force")
        )

    def evict(self) -> None:
        """What `kubectl drain` does to a pod of the node."""
        name, kubectl = self.second(), self.stack.cluster.kubectl
        kubectl("cordon", "cloud-1")
        metadata = {"name": name, "namespace": self.stack.namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        where = f"/api/v1/namespaces/{self.stack.namespace}/pods/{name}/eviction"
        kubectl("create", "--raw", where, "-f", "-", stdin=json.dumps(eviction))
        until(lambda: name not in [each["metadata"]["name"] for each in self.stack.pods()])
        kubectl("uncordon", "cloud-1")


@pytest.fixture
def runs(
    stack: Stack, lab: Lab, tiny_foundation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runs]:
    """A bucket with a foundation model and texts, and a Secret with the key; a platform without a job."""
    made = Runs(stack, lab, tree_digest(tiny_foundation, leave_out=NOT_COUNTED))
    for name, value in made.reached.environment.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for path in tiny_foundation.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), BUCKET, f"tiny/{path.relative_to(tiny_foundation).as_posix()}")
    for path in write_chapters(tmp_path / "texts").iterdir():
        s3.upload_file(str(path), BUCKET, f"texts/{path.name}")
    keys.create_pair(tmp_path / "signing.pem", tmp_path / "verification.pem")
    stack.project.up(**stack.shape(flavors=[WITH_DISK]))
    entries = [f"--from-file=key={tmp_path / 'signing.pem'}", "--from-literal=token=unused"]
    stack.cluster.kubectl("create", "secret", "generic", "signing", "-n", stack.namespace, *entries)
    yield made
    buckets.remove(BUCKET)


# `make test` trains in two pods (test_s2_cloud_training.py), starts crashed ones again (test_in_a_cluster.py), and
# resumes killed processes bit for bit (tests/model/train).
@pytest.mark.soak
def test_one_pod_or_two_killed_or_evicted_the_same_training_comes_to_the_same_end(runs: Runs) -> None:
    said = runs.train("one", 1)
    one = runs.losses()
    assert list(one) == list(range(1, STEPS + 1)), said
    runs.train("two", 2)
    two, whole = runs.losses(), runs.outputs
    begin = range(1, 31)  # later, differences of the last bit have grown
    assert [two[step] for step in begin] == pytest.approx([one[step] for step in begin], rel=1e-4)
    said = runs.train("disturbed", 2, [(15, runs.kill), (35, runs.evict)])
    assert "restarted for the 2nd time" in said
    after = runs.losses()
    assert min(after) > 10, "it went on from the bucket"
    assert max(after) == STEPS
    assert after == {step: two[step] for step in after}, "bit for bit"
    assert runs.outputs["evaluation"]["model"] == whole["evaluation"]["model"]
