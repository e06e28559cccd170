"""10,000 sites at one visit a minute, on one core: fast answers, flat memory, no errors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from scenario_model.exchange.audit_objects import AuditObjects
from scenario_model.exchange.inbox import Inbox
from scenario_model.release.store import FolderStore
from scenario_model.serve import credentials
from scenario_model.signing.keys import create_pair, load_private
from tests.campaigns import campaign
from tests.model.catalogue import load
from tests.model.exchange.counted import counted

if TYPE_CHECKING:
    from tests.model.catalogue.world import World

pytestmark = pytest.mark.slow
GATHERED_MS, KEPT_MS = 200.0, 2000.0


@dataclass(frozen=True)
class Run:
    """`kept`: see `Load`. `p99`: milliseconds, of a request that reads."""

    sites: int
    kept: int
    seconds: float
    rate: float
    p99: float


SMALL = Run(sites=100, kept=0, seconds=3, rate=40, p99=200)
FLEET = Run(sites=10_000, kept=0, seconds=60, rate=10_000 / 60, p99=20)


@campaign("form", SMALL, soak=FLEET)
def test_a_fleet_that_visits_over_new_connections_is_answered_at_once(world: World, form: Run) -> None:
    check(world, form)


@campaign("form", Run(20, 20, 3, 40, 200), soak=Run(200, 200, 60, 10_000 / 60, 20))
def test_a_fleet_that_visits_over_kept_connections_is_answered_at_once(world: World, form: Run) -> None:
    check(world, form)


def check(world: World, form: Run) -> None:
    told, grown = measured(world, form)
    visits = 2 * half_of(form)
    print(json.dumps(told), f"grown by {grown:.0f} MiB", file=sys.stderr)
    assert told["failed"] == 0, told["errors"]
    for what in ("root", "timestamp"):
        assert told[what]["number"] == visits / 2
        assert told[what]["p99"] < form.p99
    # They wait on purpose, so that those of many sites share an object, and then for the disk.
    assert told["reports"]["p50"] > GATHERED_MS / 2
    assert told["reports"]["p99"] < KEPT_MS
    assert grown < 100
    store = FolderStore(world.store)
    assert sum(1 for _ in counted(Inbox(store))) == 2 * visits
    up = [each for each in AuditObjects(store).read() if each.direction == "up"]
    assert len(up) == 2 * visits, "status and metrics of each visit"


def half_of(form: Run) -> int:
    return int(form.seconds * form.rate / 2)


def measured(world: World, form: Run) -> tuple[dict[str, Any], float]:
    """What the sites measured in the second half of a run, and by how many MiB the server grew in it."""
    folder = world.folder
    credentials.ensure(folder / "tls", ["127.0.0.1"])
    create_pair(folder / "keys" / "sites.pem", folder / "keys" / "sites.pub")
    load.write_sites(form.sites, world.store, folder / "sites", load_private(folder / "keys" / "sites.pem"))
    command = ["catalogue", "serve", "--store", world.store, "--port", "0"]
    command += [
        "--certificate",
        folder / "tls" / "server.pem",
        "--private-key",
        folder / "tls" / "server.key",
    ]
    command += ["--sites-key", folder / "keys" / "sites.pem"]
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "scenario_model", *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=lambda: load.take_core(min),
        ) as server,
    ):
        try:
            return _visited(server, folder, form)
        finally:
            server.terminate()


def _visited(server: subprocess.Popen[str], folder: Path, form: Run) -> tuple[dict[str, Any], float]:
    assert server.stdout
    port = json.loads(server.stdout.readline())["port"]
    process, half = psutil.Process(server.pid), half_of(form)
    arguments = (folder / "sites", folder / "tls" / "ca.pem", port, form.sites, form.kept)
    halves, resident = [], []
    for first in (0, half):
        done = subprocess.run(
            [sys.executable, str(Path(load.__file__)), *map(str, (*arguments, first, half, form.rate))],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        halves.append(json.loads(done.stdout))
        resident.append(process.memory_info().rss / 2**20)
    cpu = process.cpu_times()
    print(f"resident {resident} MiB, {cpu.user + cpu.system:.1f} s of a core", halves, file=sys.stderr)
    return halves[1], resident[1] - resident[0]
