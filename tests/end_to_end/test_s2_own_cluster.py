"""`s2-cloud-training` as the guide has it, in a cluster and with a bucket that are there; trained again on a schedule.

The foundation model comes in an image of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli import PROJECT
from lab.images.archive import Config, write_archive
from scenario_model.release import channel
from scenario_model.release.stores import open_store
from scenario_model.serve import credentials
from tests.chapters import CHAPTERS, chapter
from tests.end_to_end.cloud import (
    Cloud,
    add_texts,
    clone_for,
    documented,
    have_not,
    own_cluster,
    tiny_training,
)
from tests.model.report import made as report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster

# `make test` trains in that cluster in tests/components/kubernetes, and as on AWS in test_s2_cloud_training.py.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def cloud(
    lab: Lab, cluster: Cluster, tiny_foundation: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The stack, up in the lab's cluster as in anybody's; the bucket's keys are a Secret of the namespace."""
    with clone_for(lab, cluster, tiny_foundation, tmp_path_factory.mktemp("own-cluster")) as made:
        image = in_an_image(cluster, tiny_foundation, tmp_path_factory.mktemp("image"))
        model = {"kind": "image", "image": image, "path": f"/{tiny_foundation.name}"}
        made.settings = own_cluster(made) | tiny_training() | {f"{PROJECT}:foundation": model}
        made.write()
        try:
            made.clone.said = made.up()
            yield made
        finally:
            have_not(cluster)


def in_an_image(cluster: Cluster, foundation: Path, folder: Path) -> str:
    """Give the cluster's node a foundation model as an image; its name, with the digest."""
    assert cluster.own
    name = "localhost/models/tiny"
    layer = {foundation.name: foundation}
    archive = write_archive(folder / "image.tar", f"{name}:1", [layer], Config(entrypoint=[]))
    cluster.own.ctr("image", "import", "--base-name", name, "--digests", str(archive))
    (pinned,) = [
        each for each in cluster.own.ctr("image", "list", "--quiet").split() if each.startswith(f"{name}@")
    ]
    return pinned


def test_the_guides_example_is_what_runs_but_for_addresses_of_this_lab(cloud: Cloud) -> None:
    differing = {name for name, value in documented().items() if cloud.settings.get(name) != value}
    assert differing == {"cloud:kubeconfig", "cloud:region", "cloud:endpoint", "cloud:destinations"}
    (pod, *_) = cloud.cluster.kubectl.get("pods", "--namespace=training")["items"]
    assert pod["spec"]["nodeSelector"]["gpu"] == "a100"
    assert "nvidia.com/gpu" in {each.get("key") for each in pod["spec"]["tolerations"]}
    assert (pod["spec"]["runtimeClassName"], pod["spec"]["imagePullSecrets"]) == (
        "nvidia",
        [{"name": "registry"}],
    )


def test_a_new_retrain_key_or_a_report_of_drift_trains_only_what_has_changed_and_promotes_it(
    cloud: Cloud, tmp_path: Path
) -> None:
    cloud.clone.pulumi("preview", "--expect-no-changes")
    first = cloud.clone.outputs()["release"]

    said = retrained(cloud, "training.retrain_key", "2026-W48")
    assert ": step " not in said, "the data is the same"
    assert cloud.clone.outputs()["release"] == first

    add_texts([chapter(CHAPTERS)])
    tls = credentials.ensure(tmp_path / "tls", ["localhost"], report.BEFORE).directory
    cloud.clone.pulumi("config", "set", "--path", "training.reports_authority", str(tls / "ca.pem"))
    said = retrained(cloud, "training.reports[0]", str(report.written(tmp_path / "report.json", tls)))
    assert "step 8/8" in said
    outputs = cloud.clone.outputs()
    assert outputs["release"] != first
    key = tmp_path / "verification.pem"
    key.write_text(outputs["verification_key"])
    store = open_store(outputs["release_uri"], tmp_path / "cache")
    assert channel.current(store, "assistant", "stable", key) == outputs["release"]


def retrained(cloud: Cloud, setting: str, value: str) -> str:
    """Set what makes it train again and go up, as a scheduled job does; what `pulumi up` says."""
    cloud.clone.pulumi("config", "set", "--path", setting, value)
    return cloud.clone.pulumi("up", "--yes").stdout
