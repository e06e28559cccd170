"""A site and its catalogue, both the real commands in processes of their own, over TLS on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from scenario_model.exchange.audit import AuditLog
from scenario_model.exchange.audit_objects import AuditObjects
from scenario_model.exchange.inbox import Inbox
from scenario_model.exchange.spool import Spool
from scenario_model.release.names import ReleaseId
from scenario_model.release.store import FolderStore
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world
from tests.model.edge.cloud_process import Cloud, enrolled, program, run
from tests.model.exchange.counted import counted
from tests.model.exchange.test_spool import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scenario_model.exchange.contract import Crossing
    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]
pytestmark = pytest.mark.slow


@pytest.fixture
def cloud(world: World) -> Iterator[Cloud]:
    cloud = Cloud(world)
    yield cloud
    cloud.kill()


def test_a_site_joins_takes_what_is_assigned_and_reports(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    assert (folder / "site.key").stat().st_mode & 0o077 == 0
    told = json.loads(run("edge", "run", "--config", folder / "edge.json", "--once", "--json").stdout)
    # No server follows it here.
    assert (told["assigned"], told["refusal"]) == (cloud.world.releases[1], "load")
    ((site, _, status),) = cloud.reported()
    assert (site, status.assigned, status.refusal) == ("here", cloud.world.releases[1], "load")


def test_a_token_lets_one_in_once_and_says_so(cloud: Cloud) -> None:
    token = cloud.invite("here")
    enrolled(cloud, "here", token)
    other = cloud.world.folder / "other"
    options = (
        "--folder",
        other,
        "--store",
        other / "store",
        "--verification-key",
        cloud.world.key_pair.public,
    )
    refused = run("edge", "enrol", token, *options, code=1)
    assert "the token of here is not valid" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (other / "edge.json").exists()


def test_what_crossed_is_the_same_in_the_logs_of_both_sides(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    for number in (1, 3):
        cloud.world.assign("first", number)
        # Longer than the web server keeps a timestamp.
        time.sleep(1.1)
        run("edge", "run", "--config", folder / "edge.json", "--once")
    cloud.stop()
    store = FolderStore(cloud.world.store)
    here, there = [*AuditLog(folder / "state" / "audit").read()], [*AuditObjects(store).read()]
    assert crossed(here) == crossed(there)
    assert {each.peer for each in here} == {f"https://127.0.0.1:{cloud.port}"}
    assert {each.peer for each in there} == {"here"}
    kinds = {(each.direction, each.kind) for each in here}
    assert kinds == {
        ("up", "certificate"),
        ("down", "certificate"),
        ("down", "metadata"),
        ("down", "assignment"),
        ("down", "release"),
        ("up", "status"),
    }
    weights = cloud.world.store / ReleaseId.parse(cloud.world.releases[0]).key / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in {each.sha256 for each in here}


def crossed(log: list[Crossing]) -> Counter[tuple[str, str, int, str]]:
    return Counter((each.direction, each.kind, each.bytes, each.sha256) for each in log)


def test_nothing_crosses_that_cannot_be_noted(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    for path in (folder / "state" / "audit").iterdir():
        path.unlink()
    (folder / "state" / "audit").rmdir()
    (folder / "state" / "audit").write_text("in the way")
    told = json.loads(run("edge", "run", "--config", folder / "edge.json", "--once", "--json").stdout)
    assert (told["step"], told["refusal"]) == ("refused", "room")
    assert "cannot write the audit log" in told["words"]
    assert cloud.reported() == []
    assert json.loads(status_of(folder))["reports_waiting"] == 1


def status_of(folder: Path) -> str:
    return run("edge", "status", "--config", folder / "edge.json", "--json").stdout


def test_status_says_how_a_site_is_without_asking_the_cloud(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    before = json.loads(status_of(folder))
    assert (before["site"], before["last_visit"], before["reports_waiting"]) == ("here", None, None)
    run("edge", "run", "--config", folder / "edge.json", "--once")
    visited = json.loads(status_of(folder))["last_visit"]
    cloud.kill()
    time.sleep(1.1)
    run("edge", "run", "--config", folder / "edge.json", "--once")
    told = json.loads(status_of(folder))
    assert (told["serves"], told["refusal"], told["catalogue_version"]) == (None, "link", 2)
    assert told["last_visit"] == visited < told["last_step"]
    assert told["reports_waiting"] == 1
    left = datetime.fromisoformat(told["certificate_ends"]) - datetime.now(UTC)
    assert timedelta(days=13) < left <= timedelta(days=14)
    assert "ring: first" in run("edge", "status", "--config", folder / "edge.json").stdout
    cloud.start()


def test_the_web_server_is_told_by_its_environment_and_measured_on_a_port_of_its_own(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    secret = cloud.world.folder / "secret"
    secret.mkdir()
    (cloud.world.folder / "keys" / "sites.pem").rename(secret / "sites.pem")
    secret.chmod(0o500)
    variables = {
        "CATALOGUE_SERVE_STORE": cloud.world.store,
        "CATALOGUE_SERVE_PORT": 0,
        "CATALOGUE_SERVE_METRICS_PORT": 0,
        "CATALOGUE_SERVE_CERTIFICATE": cloud.tls / "server.pem",
        "CATALOGUE_SERVE_PRIVATE_KEY": cloud.tls / "server.key",
        "CATALOGUE_SERVE_SITES_KEY": secret / "sites.pem",
    }
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    log = cloud.world.folder / "replica.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            program("catalogue", "serve"), env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as replica,
    ):
        assert replica.stdout
        ports = json.loads(replica.stdout.readline())
        config = json.loads((folder / "edge.json").read_text())
        config["catalogue"]["url"] = f"https://127.0.0.1:{ports['port']}"
        (folder / "edge.json").write_text(json.dumps(config))
        told = json.loads(run("edge", "run", "--config", folder / "edge.json", "--once", "--json").stdout)
        assert told["visited"] == "True", "a certificate that one replica signed is good at the other"
        plain = f"http://127.0.0.1:{ports['metrics_port']}"
        measured = httpx.get(f"{plain}/metrics").text
        assert httpx.get(f"{plain}/healthz").text == "alive\n"
        assert httpx.get(f"{plain}/readyz").text.startswith("ready; its timestamp is good for 2")
        assert httpx.get(f"{plain}/catalogue/metadata/timestamp.json").status_code == 404
        replica.terminate()
        assert replica.wait(30) == 0
    assert "catalogue_enrolled_sites 1.0" in measured
    assert "catalogue_reports_kept_total 1.0" in measured
    assert 'catalogue_requests_total{handler="catalogue",method="GET",status="404"}' in measured
    (expires,) = re.findall(r"^catalogue_timestamp_expires_seconds (\S+)$", measured, re.MULTILINE)
    assert 80_000 < float(expires) - time.time() < 86_500
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert (events[0], events[-1]) == ("listening", "stopped")
    assert "download" in events


def test_a_revoked_site_gets_nothing_and_goes_on(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    run("catalogue", "revoke", "here", "--store", cloud.world.store)
    told = json.loads(run("edge", "run", "--config", folder / "edge.json", "--once", "--json").stdout)
    assert told["assigned"] == ""
    assert told["refusal"] in {"link", "catalogue"}
    assert cloud.reported() == []


def test_what_waits_is_sent_as_soon_as_the_cloud_is_back_and_not_at_the_next_visit(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    config = json.loads((folder / "edge.json").read_text())
    (folder / "edge.json").write_text(json.dumps(config | {"poll_seconds": 3600}))
    cloud.kill()
    agent = subprocess.Popen(
        program("edge", "run", "--config", folder / "edge.json"), stderr=subprocess.DEVNULL
    )
    try:
        spool = Spool(folder / "state" / "reports.sqlite")
        wait_for(lambda: spool.number_waiting > 0)
        time.sleep(2)
        cloud.start()
        wait_for(lambda: len(cloud.reported()) > 0, 30)
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.timeout(300)
def test_reports_made_while_the_cloud_is_away_all_arrive_once_whoever_is_killed(cloud: Cloud) -> None:
    folder = enrolled(cloud, "here")
    command = program("edge", "run", "--config", folder / "edge.json")
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(2):
            wait_for(lambda: len(cloud.reported()) > 0)
            cloud.kill()
            time.sleep(2)
            agent.send_signal(signal.SIGKILL)
            agent.wait()
            agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(4)
            before = len(cloud.reported())
            cloud.start()
            wait_for(lambda before=before: len(cloud.reported()) > before + 3)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(30) == 0
    finally:
        agent.kill()
        agent.wait()
    numbers = [number for _, number, _ in cloud.reported()]
    first = min(numbers)
    assert sorted(numbers) == [*range(first, first + len(numbers))]
    assert len(numbers) > 10


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_ten_thousand_reports_of_a_cut_of_ten_minutes_arrive_once_whoever_is_killed(cloud: Cloud) -> None:
    """The agent is killed at random during the cut, and both sides while it catches up; how long that takes is said."""
    folder, drawn, kept = enrolled(cloud, "here"), random.Random(7), 0
    command = program("edge", "run", "--config", folder / "edge.json")
    spool = Spool(folder / "state" / "reports.sqlite")
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill_the_agent() -> None:
        nonlocal agent
        agent.kill()
        agent.wait()
        agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    try:
        wait_for(lambda: len(cloud.reported()) > 0)
        cloud.kill()
        ends, killed_at = time.monotonic() + 600, 0.0
        while time.monotonic() < ends:
            spool.add(*(report(kept + number) for number in range(25)))
            kept += 25
            if time.monotonic() > killed_at:
                kill_the_agent()
                killed_at = time.monotonic() + drawn.uniform(5, 30)
            time.sleep(1.4)
        last = spool.add(report(kept))
        assert kept >= 10_000
        print(f"{spool.number_waiting} reports wait")
        for _ in range(3):
            cloud.start()
            time.sleep(drawn.uniform(0.1, 0.5))
            kill_the_agent()
            cloud.kill()
        print(f"{spool.number_waiting} wait after three kills of both")
        cloud.start()
        began = time.monotonic()
        wait_for(lambda: not spool.waiting(1) or spool.waiting(1)[0][0] > last)
        print(f"all arrived {time.monotonic() - began:.2f} s after the cloud answered again")
    finally:
        agent.kill()
        agent.wait()
    numbers = [each.number for each in counted(Inbox(FolderStore(cloud.world.store)))]
    first = min(numbers)
    assert sorted(numbers) == [*range(first, first + len(numbers))]
    assert max(numbers) >= last


def wait_for(condition: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)
