"""`s1-local-serving` and `s2-cloud-training`: traffic drifts, a report of that is carried, another release comes back.

Real are both stacks, the servers, the traffic over HTTPS and the training in the lab's cluster. The model is tiny, and
a window takes a second.
"""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli import PROJECT
from lab.cloud_training import STACK
from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import Window, WindowLog
from scenario_model.serve import credentials
from tests.end_to_end.cloud import Cloud, add_texts, clone_for, have_not, own_cluster, tiny_training
from tests.end_to_end.conftest import Clone, free_port
from tests.end_to_end.rollout import Load
from tests.topics import OTHER, USUAL, text
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from tests.built_runtime import BuiltRuntime

# `make test` has the parts: test_s2_cloud_training.py, test_several_stacks.py, tests/model/report, tests/model/observe.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
DOCUMENTS = 24


@pytest.fixture
def cloud(
    lab: Lab, cluster: Cluster, tiny_foundation: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """What trains: up in the lab's cluster, with a release for what people usually write about."""
    with clone_for(lab, cluster, tiny_foundation, tmp_path_factory.mktemp("drift")) as made:
        made.settings = own_cluster(made) | tiny_training(about(USUAL))
        made.write()
        try:
            made.clone.said = made.up()
            yield made
        finally:
            have_not(cluster)


@dataclass
class Premises:
    """What serves: on this machine, the release of the stack that trains."""

    clone: Clone

    @property
    def root(self) -> Path:
        return self.clone.path / ".state" / self.clone.stack / "premises"

    def windows(self, release: str) -> list[Window]:
        """The windows of a release in which somebody asked."""
        config = json.loads((self.root / "inference" / "serve.json").read_text())
        kept = WindowLog(Path(config["observation"]["state"]) / WINDOWS)
        return [each for each in kept.read() if each.release == release and each.units > 5]

    def report(self, out: Path) -> str:
        """Write one with the program that is on the host; return what it says."""
        python, config = self.root / "runtime/current/bin/python", self.root / "inference/serve.json"
        command = [str(python), "-m", "scenario_model", "report", "write", "--config", str(config)]
        return self.clone.run(*command, "--out", str(out)).stdout


@pytest.fixture
def premises(cloud: Cloud, runtime: BuiltRuntime) -> Iterator[Premises]:
    clone = Clone(path=cloud.clone.path, port=free_port(), stack="s1-local-serving")
    clone.use(runtime)
    clone.configure(
        release={"kind": "stack", "stack": STACK},
        serving={
            "port": clone.port,
            "engine": {"compile": "off"},
            "limits": {"requests_per_minute": 1_000_000},
            "observation": {"window_seconds": 1.0, "windows_per_false_alarm": 1000.0},
        },
    )
    try:
        clone.run("make", "up", f"STACK={clone.stack}")
        yield Premises(clone)
    finally:
        clone.run("make", "down", f"STACK={clone.stack}")


def about(words: list[str]) -> list[str]:
    """Documents about something."""
    drawn = random.Random(words[1])
    return [text(words, drawn) for _ in range(DOCUMENTS)]


def test_a_report_of_drift_from_the_premises_makes_the_cloud_train_what_they_then_serve(
    cloud: Cloud, premises: Premises, tmp_path: Path
) -> None:
    first, drawn = str(cloud.clone.outputs()["release"]), random.Random(1)
    assert premises.clone.outputs()["release"] == first
    words = USUAL
    with Load(premises.clone, prompt=lambda: text(words, drawn), pause=0.02) as load:
        until(lambda: len(premises.windows(first)) > 8, timeout_s=120)
        before = premises.windows(first)
        assert {each.asks for each in before} == {"nothing"}
        words = OTHER
        until(lambda: asks_twice(premises.windows(first)), timeout_s=300)
    assert load.failed == []
    drifted = premises.windows(first)
    say_when(drifted[len(before) :])

    assert "asks for retraining" in premises.report(tmp_path / "serve-1.json")
    carried(cloud, premises, tmp_path / "serve-1.json")
    other = credentials.ensure(tmp_path / "other", ["localhost"]).directory
    refused = retrained(cloud, [1], other / "ca.pem", check=False)
    assert "its signer was not known to the authority" in refused
    assert cloud.clone.outputs()["release"] == first

    said = retrained(cloud, [1], folder_of(cloud) / "ca.pem")
    assert ": step " not in said, "the data is the same"
    assert cloud.clone.outputs()["release"] == first
    add_texts(about(OTHER))
    assert ": step " not in retrained(cloud, [1], folder_of(cloud) / "ca.pem"), "a report acts once"

    premises.report(tmp_path / "serve-2.json")
    carried(cloud, premises, tmp_path / "serve-2.json")
    assert "step 8/8" in retrained(cloud, [1, 2], folder_of(cloud) / "ca.pem")
    second = str(cloud.clone.outputs()["release"])
    assert second != first

    premises.clone.run("make", "up", f"STACK={premises.clone.stack}")
    assert premises.clone.outputs()["release"] == second
    with Load(premises.clone, prompt=lambda: text(OTHER, drawn), pause=0.02) as load:
        until(lambda: len(premises.windows(second)) > 12, timeout_s=120)
    assert load.failed == []
    assert load.releases == {second}
    after = premises.windows(second)
    print(f"evidence at the end: {after[-1].signals}")
    assert "retraining" not in {each.asks for each in after}, "the signal falls back"


def asks_twice(windows: list[Window]) -> bool:
    return [each.asks for each in windows[-2:]] == ["retraining"] * 2


def say_when(windows: list[Window]) -> None:
    number = next(place for place, each in enumerate(windows, start=1) if each.asks == "retraining")
    print(f"asked for in window {number} after the change; then {windows[-1].signals}")


def folder_of(cloud: Cloud) -> Path:
    return cloud.clone.path / "reports"


def carried(cloud: Cloud, premises: Premises, report: Path) -> None:
    """Bring a report to what trains, and the authority of what serves."""
    folder_of(cloud).mkdir(exist_ok=True)
    shutil.copy(report, folder_of(cloud))
    (folder_of(cloud) / "ca.pem").write_text(premises.clone.outputs()["ca_certificate"])


def retrained(cloud: Cloud, numbers: list[int], authority: Path, *, check: bool = True) -> str:
    """Go up with these reports; what `pulumi up` says."""
    reports = [f"reports/serve-{number}.json" for number in numbers]
    told = {"reports": reports, "reports_authority": str(authority)}
    cloud.write(own__training=cloud.settings[f"{PROJECT}:training"] | told)
    return cloud.clone.pulumi("up", "--yes", check=check).stdout
