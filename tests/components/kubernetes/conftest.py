"""A stack of a platform, and of a training job if it is asked for, in the lab's cluster."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bootstrap.pulumi.plugins import install_kubernetes
from lab.images import image, reference
from tests.pulumi_project import PulumiProject, new_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.kubernetes.cluster import Cluster

ANY = {"name": "any", "quota": {"cpu": "1", "memory": "16Gi"}}


@pytest.fixture(scope="module")
def with_image(cluster: Cluster) -> Cluster:
    """The cluster with the model package's image on its node."""
    assert cluster.own
    if reference("model") not in cluster.own.ctr("image", "list", "--quiet"):
        cluster.own.load(image("model"))
    return cluster


class Stack:
    """A stack on a namespace of its own."""

    def __init__(self, project: PulumiProject, cluster: Cluster, namespace: str) -> None:
        self.project, self.cluster, self.namespace = project, cluster, namespace

    def shape(self, job: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        common = {
            "kubeconfig": str(self.cluster.kubeconfig),
            "namespace": self.namespace,
            "flavors": [ANY],
            **changes,
        }
        return common | ({"job": job} if job else {})

    def get(self, *what: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.cluster.kubectl.get(*what, "-n", self.namespace)["items"]
        return items

    def pods(self) -> list[dict[str, Any]]:
        return self.get("pods")

    def changed(self, **shape: Any) -> dict[str, str]:
        """What a preview would do to each resource that it does not leave as it is."""
        steps = json.loads(self.project.pulumi("preview", "--json", **shape))["steps"]
        names = {each["urn"].rpartition("::")[0].rpartition(":")[2]: each["op"] for each in steps}
        return {name: step for name, step in names.items() if step != "same"}


@pytest.fixture
def stack(with_image: Cluster, tmp_path: Path, pulumi_engine: Path) -> Iterator[Stack]:
    """A stack that is not up yet; destroyed afterwards, and then nothing is left in the cluster."""
    project = new_project(Path(__file__).parent / "project", tmp_path, pulumi_engine)
    install_kubernetes(Path(project.environment["PULUMI_HOME"]), pulumi_engine)
    made = Stack(project, with_image, f"training-{secrets.token_hex(3)}")
    before = above_namespaces(with_image)
    yield made
    project.pulumi("destroy", "--yes", "--skip-preview", **made.shape())
    assert above_namespaces(with_image) == before


def above_namespaces(cluster: Cluster) -> list[str]:
    kinds = "namespaces,clusterqueues,resourceflavors,topologies,jobsets,workloads,networkpolicies,daemonsets"
    listed = cluster.kubectl("get", kinds, "--all-namespaces", "-o", "name")
    return sorted(listed.split())
