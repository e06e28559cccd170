"""Sites whose traffic drifts, and their cloud: they ask for retraining, and the release that comes of it goes by rings.

Real are servers, agents, the catalogue's web server, the rollout's steps, the training and the traffic, each a process
or a command of its own. The model is tiny, and a window takes a second.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import Window, WindowLog
from scenario_model.release.names import ReleaseId
from scenario_model.report import drift_report
from scenario_model.serve import credentials
from stacks.builders.retraining import retrain_key
from stacks.settings.cloud import Training
from tests.model.catalogue.world import World
from tests.model.edge.cloud_process import Cloud, enrolled, program, run
from tests.model.lifecycle.live import Traffic, serve_again
from tests.model.lifecycle.test_loop import Place
from tests.model.release.conftest import KeyPair
from tests.model.serve.test_kept_socket import free_port
from tests.topics import OTHER
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]
RINGS = {"here": "first", "there": "all"}
ROLLOUT = {
    "rings": ["first", "all"],
    "soak_seconds": 5.0,
    "judgement": {"periods": 2, "answers": 3, "slower_by": 50.0},
}


class Site:
    """One site: its agent, its server and the people who ask that."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.name, self._over = name, threading.Event()
        self.folder = enrolled(cloud, name, cloud.invite(name, RINGS[name]))
        self._tls = credentials.ensure(self.folder / "tls", ["localhost"]).directory
        self._port, self._metrics = free_port(), free_port()
        self._follow = self.folder / "release"
        self._change("edge.json", server=f"https://localhost:{self._port}", ready_seconds=120.0)
        self._change("edge.json", metrics=f"http://127.0.0.1:{self._metrics}/metrics", poll_seconds=0.5)
        self._change("serve.json", **self._settings(cloud))
        self.traffic = Traffic(self._port, self._tls, random.Random(name), pause=0.05)

    def _change(self, file: str, **values: Any) -> None:
        path = self.folder / file
        told = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps(told | values))

    def _settings(self, cloud: Cloud) -> dict[str, Any]:
        tls = {"certificate": str(self._tls / "server.pem"), "private_key": str(self._tls / "server.key")}
        watched = {"window_seconds": 1.0, "windows_per_false_alarm": 1000.0}
        return {
            "store": str(self.folder / "store"),
            "name": "assistant",
            "verification_key": str(cloud.world.key_pair.public),
            "port": self._port,
            "tls": tls,
            "api_keys": str(self._tls / "api_keys.json"),
            "limits": {"requests_per_minute": None},
            "engine": {"weights": "fp32", "compile": "off", "threads": 1},
            "metrics": {"port": self._metrics},
            "follow": str(self._follow),
            "observation": {"state": str(self.folder / "observation"), **watched},
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        edge = ["--config", self.folder / "edge.json"]
        run("edge", "first", *edge)
        serving = (self.folder, self.folder / "serve.json", self._over)
        threads = [
            threading.Thread(target=serve_again, args=serving),
            threading.Thread(target=self.traffic.ask, args=(self._over,)),
        ]
        for thread in threads:
            thread.start()
        agent = subprocess.Popen(program("edge", "run", *edge), stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            self._over.set()
            agent.terminate()
            agent.wait()
            for thread in threads:
                thread.join()

    @property
    def told(self) -> str:
        """The release that the agent told the server to serve."""
        return self._follow.read_text().strip()

    def windows(self, release: str) -> list[Window]:
        """The windows of a release in which somebody asked."""
        found = WindowLog(self.folder / "observation" / WINDOWS).read()
        return [each for each in found if each.release == release and each.units > 5]


class Fleet:
    """The cloud with its two sites, and what trains for them elsewhere."""

    def __init__(self, folder: Path, foundation: Path) -> None:
        (folder / "trains").mkdir()
        (folder / "cloud").mkdir()
        self.trains = Place(folder / "trains", foundation)
        pair = KeyPair(folder / "trains" / "key.pem", folder / "trains" / "key.pub")
        self.world = World.created(folder / "cloud", pair)
        self.cloud = Cloud(self.world)
        (folder / "cloud" / "rollout.json").write_text(json.dumps(ROLLOUT))
        keys = self.world.folder / "keys"
        self._store = ["--store", self.world.store]
        self._led = [*self._store, "--online-key", keys / "online.pem", "--release-public-key", pair.public]
        self._status = [*self._store, "--online-public-key", keys / "online.pub"]
        self.sites: list[Site] = []
        self.seen: list[tuple[str, ...]] = []
        """The releases that the sites were told to serve, at each step."""

    def publish(self) -> str:
        """Train a release elsewhere, list it, and let it be rolled out."""
        made = self.trains.release()
        self.world.add(self.trains.folder / "store" / ReleaseId.parse(made).key, made)
        run("rollout", "start", made, *self._led)
        return made

    def step(self) -> dict[str, Any]:
        config = ["--config", self.world.folder / "rollout.json", "--json"]
        told: dict[str, Any] = json.loads(run("rollout", "step", "assistant", *self._led, *config).stdout)
        self.seen.append(tuple(site.told for site in self.sites))
        return told

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            run("rollout", "status", "assistant", *self._status, "--json").stdout
        )
        return told

    def report(self, out: Path) -> str:
        """Write a signed report, with the key of the catalogue's web server."""
        tls = self.cloud.tls
        pair = ["--certificate", tls / "server.pem", "--private-key", tls / "server.key"]
        return run("rollout", "report", "assistant", *self._store, *pair, "--out", out).stdout


@pytest.fixture
def fleet(tmp_path: Path, tiny_foundation: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, tiny_foundation)
    try:
        yield fleet
    finally:
        fleet.cloud.kill()


def test_what_people_ask_sites_changes_and_a_release_for_that_goes_by_rings(
    fleet: Fleet, tmp_path: Path
) -> None:
    first = fleet.publish()
    fleet.step()
    fleet.sites = [Site(fleet.cloud, name) for name in RINGS]
    with contextlib.ExitStack() as running:
        for site in fleet.sites:
            running.enter_context(site.running())
        until(lambda: fleet.step()["action"] == "done", timeout_s=240)
        until(lambda: all(len(site.windows(first)) > 8 for site in fleet.sites), timeout_s=120)
        assert fleet.step()["asks"] == ""
        assert {each.asks for site in fleet.sites for each in site.windows(first)} == {"nothing"}

        before = {site.name: len(site.windows(first)) for site in fleet.sites}
        for site in fleet.sites:
            site.traffic.words = OTHER
        until(lambda: "by 2 of 2 sites" in fleet.step()["asks"], timeout_s=240)
        say_when(fleet, first, before)
        assert fleet.step()["action"] == "done", "the release is not to blame"
        assert {entry["action"] for entry in fleet.status()["trials"]} == {"done", "asked"}
        assert "by 2 of 2 sites" in fleet.status()["asks"][0]

        assert "2 of 2 sites ask for retraining" in fleet.report(tmp_path / "sites.json")
        assert acts(tmp_path / "sites.json", fleet.cloud.tls / "ca.pem"), "s2 takes it in"
        fleet.trains.add(OTHER, 24)
        second = fleet.publish()
        fleet.seen.clear()
        until(lambda: fleet.step()["action"] == "done", timeout_s=300)
        assert list(dict.fromkeys(fleet.seen))[-3:] == [(first, first), (second, first), (second, second)]

        until(lambda: all(len(site.windows(second)) > 12 for site in fleet.sites), timeout_s=120)
        assert fleet.step() | {"why": ""} == {**NOTHING_TO_DO, "why": ""}
    for site in fleet.sites:
        print(f"evidence at the end: {site.windows(second)[-1].signals}")
        assert "retraining" not in {each.asks for each in site.windows(second)}, "the signal falls back"
        assert site.traffic.failed == []
        assert set(site.traffic.answers) == {first, second}
    assert fleet.status()["asks"] == []


NOTHING_TO_DO = {"action": "done", "ring": "", "sites": [], "asks": ""}


def acts(report: Path, authority: Path) -> bool:
    """Whether the stack that trains would train again for a report."""
    assert drift_report.read(report, authority).report.sites
    training = Training(image="i", reports=(str(report),), reports_authority=str(authority))
    return retrain_key("s2-cloud-training", training, "assistant") != ""


def say_when(fleet: Fleet, release: str, before: dict[str, int]) -> None:
    for site in fleet.sites:
        later = site.windows(release)[before[site.name] :]
        number = next(place for place, each in enumerate(later, start=1) if each.asks == "retraining")
        print(f"{site.name} asked in window {number} after the change; then {later[-1].signals}")
