"""`s2-cloud-training` with the file that is shipped: charts, node sizes, taints and protection as users get them.

Real are the engine, Kubernetes, its scheduler, JobSet and Kueue, installed by the stack from their charts, the
kubelets that compute what a node of the shipped type has for pods, and the training. Stand-ins are named in
`lab/node_groups.py`, `lab/charts.py` and `lab/binaries/go/device-plugin`; AWS is moto. The state is in a bucket, its
secrets are encrypted by a key, and where one machine stops another goes on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cli import PROJECT
from components.aws.gpu_nodes import TRAINING_LABEL
from components.aws.instance_types import instance_type
from components.aws.node_disks import allocatable_gib, scratch_gib
from components.kubernetes import charts
from components.kubernetes.node_agents import NodeAgents
from components.kubernetes.quantities import amount
from lab import charts as lab_charts
from lab import compose, lock, node_groups
from lab.aws import REGION
from lab.cloud_training import BUCKET, STACK
from lab.fixtures import a_folder
from lab.images import reference
from lab.kubernetes import NODE, machines
from stacks.settings.aws import Nodes
from tests import buckets
from tests.campaigns import sizes
from tests.end_to_end import shipped
from tests.end_to_end.cloud import Cloud, at_the_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.kubernetes.cluster import OwnCluster
    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
_PATIENCE_S = 600.0
_STATES = "states-of-the-team"


@dataclass
class Story:
    """The stack, and what happened on the way up. `cloud` is on the machine that went on, `first` where it began."""

    cloud: Cloud
    first: Clone
    as_shipped: dict[str, Any]
    before_the_image: str = ""
    groups_before_the_image: list[str] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)
    nodes_before: list[str] = field(default_factory=list)

    @property
    def instance(self) -> str:
        return str(self.as_shipped["cloud:nodes"]["instance_type"])

    @property
    def image(self) -> str:
        return str(self.cloud.settings[f"{PROJECT}:training"]["image"])


@pytest.fixture(scope="module", params=sizes(8, soak=0))
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_foundation: Path
) -> Iterator[Story]:
    """The shipped file, brought up as the guide says, in a cluster of its own without JobSet and Kueue.

    It is taken down as the guide says, too; then nothing is left anywhere. `make test` trains for eight steps.
    """
    steps: int = request.param
    with a_folder() as folder:
        with pytest.MonkeyPatch.context() as patch, lock.exclusive(folder):
            patch.setenv("LAB_QUEUEING", "none")
            lab = compose.bring_up(folder, hosts=1)
        assert lab.cluster
        assert lab.cluster.own
        assert lab.aws
        with at_the_lab(lab, lab.cluster, tmp_path_factory.mktemp("shipped")) as cloud:
            cloud.clone.backend = in_a_bucket()
            made = Story(cloud, cloud.clone, dict(cloud.settings))
            cloud.settings |= shipped.changes(cloud.settings, lab.aws, tiny_foundation)
            cloud.settings |= shipped.shorter(cloud.settings, steps) if steps else {}
            cloud.write()
            go_up(made, lab.cluster.own, tmp_path_factory.mktemp("another"))
            yield made
            cloud.settings["cloud:protect"] = False
            cloud.write()
            cloud.up()
            cloud.down()
            for name in (BUCKET, _STATES):
                buckets.remove(name)


def in_a_bucket() -> dict[str, str]:
    """The variables for a state in a bucket that all machines reach, and a key for its secrets."""
    where = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket=_STATES, CreateBucketConfiguration=where)
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    return {
        "PULUMI_BACKEND_URL": f"s3://{_STATES}",
        "PULUMI_OPTION_SECRETS_PROVIDER": f"awskms:///{key}?region={REGION}",
    }


def go_up(story: Story, own: OwnCluster, another: Path) -> None:
    """`make up`, which asks for the image; push it, and on another machine `make up` again.

    There the lab adds nodes, which on AWS is up to the autoscaler.
    """
    cloud = story.cloud
    assert cloud.lab.aws
    give_charts(own, cloud.clone.path / shipped.CHARTS)
    agents = NodeAgents(node_labels={})
    images = {"pause": [agents.telemetry], "device-plugin": [agents.device_plugin], "model": [story.image]}
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(machines.prepare, own, images)
        story.before_the_image = cloud.clone.run("make", "up", f"STACK={STACK}", check=False).stdout
        prepared.result()
    print(story.before_the_image)
    eks = boto3.client("eks")
    for each in eks.list_clusters()["clusters"]:
        story.groups_before_the_image += eks.list_nodegroups(clusterName=each)["nodegroups"]
    shipped.push(story.image)
    cloud.move(another)
    give_charts(own, cloud.clone.path / shipped.CHARTS)
    story.nodes_before = nodes(cloud)
    with ThreadPoolExecutor(1) as pool:
        grown = pool.submit(
            node_groups.grow,
            own,
            cloud.lab.aws,
            STACK,
            TRAINING_LABEL,
            shipped.machine(story.instance),
            _PATIENCE_S,
        )
        cloud.clone.said = cloud.clone.run("make", "up", f"STACK={STACK}", timeout=_PATIENCE_S).stdout
        story.waited = grown.result()


def give_charts(own: OwnCluster, folder: Path) -> None:
    """Put the charts where `helm pull` would, and their images on the node, by the names that the stack gives them."""
    autoscaler = charts.autoscaler("1.35").file.removeprefix("cluster-autoscaler-").removesuffix(".tgz")
    lab_charts.pack(own, folder, autoscaler)
    wanted = charts.Charts()
    for name, chart in (("jobset", wanted.jobset), ("kueue", wanted.kueue)):
        assert (folder / chart.file).is_file()
        own.ctr("image", "tag", reference(name), chart.image)


def nodes(cloud: Cloud) -> list[str]:
    return [each["metadata"]["name"] for each in cloud.cluster.kubectl.get("nodes")["items"]]


def workers(cloud: Cloud) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.cluster.kubectl.get("pods", "--namespace=training")["items"]
    return found


def test_no_key_is_another_one_but_what_users_fill_in_and_what_the_lab_needs(story: Story) -> None:
    differing = shipped.differing(story.as_shipped, story.cloud.settings)
    print("\n".join(sorted(differing)))
    assert differing - shipped.SHORTER == shipped.FILLED_IN | shipped.CONNECTED


def test_without_its_image_it_goes_no_further_than_the_repository_to_push_it_to(story: Story) -> None:
    said = f"{story.image} is not in the registry yet, so no training node was started"
    assert said in " ".join(story.before_the_image.split())
    assert [each for each in story.groups_before_the_image if each.startswith("training")] == []


def test_two_pods_that_ask_for_a_whole_node_train_on_one_each(story: Story) -> None:
    size, disk = instance_type(story.instance), Nodes.model_fields["disk_gib"].default
    pods = workers(story.cloud)
    asked = {
        "cpu": str(size.pod_vcpus),
        "memory": f"{size.pod_memory_gib}Gi",
        "ephemeral-storage": f"{scratch_gib(size, disk)}Gi",
        "nvidia.com/gpu": str(size.gpus),
    }
    assert [each["spec"]["containers"][0]["resources"]["requests"] for each in pods] == [asked] * 2
    assert sorted(each["spec"]["nodeName"] for each in pods) == ["machine-1", "machine-2"]
    assert [each["status"]["phase"] for each in pods] == ["Succeeded"] * 2
    outputs = story.cloud.clone.outputs()
    print(outputs["evaluation"])
    assert outputs["evaluation"]["new_domain"]["candidate"] < outputs["evaluation"]["new_domain"]["parent"]


def test_nodes_come_when_the_job_waits_for_them_with_what_the_group_says(story: Story) -> None:
    assert story.nodes_before == [NODE]
    assert len(story.waited) == 2
    assert all("0/1 nodes are available" in each for each in story.waited)
    size = instance_type(story.instance)
    for name in ("machine-1", "machine-2"):
        node = story.cloud.cluster.kubectl.get("node", name)
        assert TRAINING_LABEL.items() <= node["metadata"]["labels"].items()
        assert [(each["key"], each["effect"]) for each in node["spec"]["taints"]] == [
            (size.taint, "NoSchedule")
        ]
        has = node["status"]["allocatable"]
        assert has["nvidia.com/gpu"] == "1"
        # As much as the stack counts on, and little more.
        there = float(amount(has["memory"], name)) / 2**30
        assert size.allocatable_gib <= there <= size.allocatable_gib / 0.985
        disk = float(amount(has["ephemeral-storage"], name)) / 2**30
        assert allocatable_gib(size, 0) <= disk <= allocatable_gib(size, 0) / 0.985


def test_the_queue_is_what_the_stack_installed(story: Story) -> None:
    deployments = story.cloud.cluster.kubectl.get("deployments", "--all-namespaces")["items"]
    images = {each["spec"]["template"]["spec"]["containers"][0]["image"] for each in deployments}
    wanted = charts.Charts()
    assert {wanted.jobset.image, wanted.kueue.image} <= images
    (workload,) = story.cloud.cluster.kubectl.get("workloads", "--namespace=training")["items"]
    admitted = {each["type"]: each["status"] for each in workload["status"]["conditions"]}
    assert admitted["Admitted"] == "True"


def test_agents_of_the_nodes_run_on_both(story: Story) -> None:
    sets = story.cloud.cluster.kubectl.get("daemonsets", "--namespace=training-nodes")["items"]
    ready = {each["metadata"]["name"]: each["status"]["numberReady"] for each in sets}
    assert ready == {"nvidia-device-plugin": 2, "dcgm-exporter": 2}


def test_nothing_changes_again_on_either_machine_and_the_state_is_in_the_bucket_alone(story: Story) -> None:
    for each in (story.cloud.clone, story.first):
        each.pulumi("preview", "--expect-no-changes")
        assert not list((each.path / ".state" / "backend").rglob("*.json"))
        assert not (each.path / ".state" / "passphrase").exists()
        temporary = each.path / ".state" / "temporary" / STACK
        assert temporary.is_dir()
        assert list(temporary.glob("kubeconfig*")) == []
    (state,) = [
        each.get()["Body"].read()
        for each in boto3.resource("s3").Bucket(_STATES).objects.all()
        if each.key.endswith(f"/stacks/{PROJECT}/{STACK}.json")
    ]
    assert b"PRIVATE KEY" not in state
