"""`s4-cloud-serving` in the lab: sites' traffic drifts, their cloud writes a report, another release goes ring by ring.

Real are the stack, its pods, the hosts, the traffic over HTTPS and both releases, which are trained beside it as where
the report is carried to. The model is tiny, and a window takes a second.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.cloud_serving import NAMESPACE, STACK
from scenario_model.release.names import ReleaseId
from scenario_model.report import drift_report
from tests.end_to_end.fleet import Fleet, fleet_of
from tests.end_to_end.rollout import Load
from tests.model.lifecycle.test_loop import Place
from tests.topics import OTHER, USUAL, text
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from tests.built_runtime import BuiltRuntime

# `make test` has its parts: test_s4_cloud_serving.py, tests/model/rollout, tests/model/report.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]


@pytest.fixture
def trains(tmp_path: Path, tiny_foundation: Path) -> Place:
    """Where models are trained."""
    (tmp_path / "trains").mkdir()
    return Place(tmp_path / "trains", tiny_foundation)


def released(trains: Place) -> dict[str, str]:
    """Train a release on the data that are there now; return it as a setting."""
    made = trains.release()
    path, key = trains.folder / "store" / ReleaseId.parse(made).key, trains.folder / "key.pub"
    return {"kind": "file", "path": str(path), "id": made, "verification_key": str(key)}


@pytest.fixture
def fleet(
    lab: Lab, cluster: Cluster, runtime: BuiltRuntime, trains: Place, tmp_path: Path
) -> Iterator[Fleet]:
    (tmp_path / "s4").mkdir()
    observation = {"window_seconds": 1.0, "windows_per_false_alarm": 1000.0}
    releases = [released(trains)]
    with fleet_of(
        lab, cluster, runtime, tmp_path / "s4", releases, 2, serving={"observation": observation}
    ) as made:
        made.clone.said = made.clone.run("make", "up", f"STACK={STACK}").stdout
        yield made


def test_what_people_ask_sites_changes_and_a_release_for_that_goes_ring_by_ring(
    fleet: Fleet, trains: Place, tmp_path: Path
) -> None:
    first, words, drawn = fleet.release, USUAL, random.Random(1)
    with ExitStack() as asking:
        loads = [
            asking.enter_context(
                Load(fleet.clone, prompt=lambda: text(words, drawn), pause=0.05, endpoint=site["endpoint"])
            )
            for site in fleet.clone.outputs()["sites"]
        ]
        until(lambda: " is well" in step(fleet), timeout_s=400)
        assert "0 of 2 present sites that watch assistant ask for retraining" in report(fleet)
        began, words = time.monotonic(), OTHER
        until(lambda: report(fleet).startswith("{"), timeout_s=300)
        until(lambda: "asked for by 2 of 2 sites" in step(fleet), timeout_s=300)
        print(f"asked for by both sites within {time.monotonic() - began:.0f} s: {step(fleet)}")
        (tmp_path / "sites.json").write_text(report(fleet))
        (tmp_path / "ca.pem").write_text(fleet.clone.outputs()["ca_certificate"])
        told = drift_report.read(tmp_path / "sites.json", tmp_path / "ca.pem").report
        print(f"the report: {told.drift.signals}, {told.sites}")
        assert (told.drift.release, told.drift.asks) == (first, "retraining")
        assert set(fleet.served().values()) == {first}, "it is not taken back"

        trains.add(OTHER, 24)
        fleet.to_come.append(released(trains))
        fleet.publish()
        until(fleet.is_everywhere, timeout_s=600)
        until(lambda: " is well" in step(fleet), timeout_s=400)
        time.sleep(30)
        assert "retraining" not in step(fleet), "the signal falls back"
        assert "0 of 2 present sites that watch assistant ask for retraining" in report(fleet)
    for load in loads:
        assert load.failed == []
        assert load.releases == {first, fleet.release}


def step(fleet: Fleet) -> str:
    """What the last step of the rollout said."""
    found = fleet.cluster.kubectl.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=rollout")
    ended = [each for each in found["items"] if each["status"]["phase"] == "Succeeded"]
    if not ended:
        return ""
    last = max(ended, key=lambda each: each["metadata"]["creationTimestamp"])
    return fleet.cluster.kubectl("logs", "-n", NAMESPACE, last["metadata"]["name"])


def report(fleet: Fleet) -> str:
    """A report, by the command of the documents; or what it says instead."""
    found = fleet.cluster.kubectl.get("deployment", "catalogue", "-n", NAMESPACE)
    arguments = found["spec"]["template"]["spec"]["containers"][0]["args"]
    store = arguments[arguments.index("--store") + 1]
    command = ["python3", "-m", "scenario_model", "rollout", "report", "assistant", "--store", store]
    pair = ["--certificate", "/keys/server.pem", "--private-key", "/keys/server.key"]
    command += [*pair, "--config", "/config/rollout.json", "--out", "-"]
    try:
        return fleet.cluster.kubectl("exec", "deploy/catalogue", "-n", NAMESPACE, "--", *command)
    except LabError as error:
        return str(error)
