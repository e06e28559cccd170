"""`scenario-model edge`, the real command, with the catalogue in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]
pytestmark = pytest.mark.slow


def edge(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scenario_model", "edge", "run", "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def written(world: World, **changes: object) -> Path:
    folder = world.folder / "site"
    config = {
        "site": "here",
        "ring": "first",
        "catalogue": {"url": str(world.store), "root": str(world.folder / "pinned.json")},
        "verification_key": str(world.key_pair.public),
        "store": str(folder / "store"),
        "follow": str(folder / "follow"),
        "state": str(folder / "state"),
        "server": "https://127.0.0.1:9",
        "ready_seconds": 0.1,
    }
    path = world.folder / "edge.json"
    path.write_text(json.dumps(config | changes))
    return path


def test_one_step_tells_the_server_and_says_that_it_did_not_become_ready(world: World) -> None:
    done = edge(written(world), "--once", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["step"], told["refusal"], told["assigned"]) == ("refused", "load", world.releases[1])
    assert "was not ready within 0.1 s" in told["words"]
    assert list((world.folder / "site" / "store" / "releases").rglob("release.sig"))


def test_a_mistake_in_the_settings_is_one_line(world: World) -> None:
    done = edge(written(world, windows=["10pm"]), "--once")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "write a time of day, such as 22:00-05:30, in UTC" in done.stderr


def test_the_first_release_is_brought_and_named_before_there_is_a_server(world: World) -> None:
    config = written(world)
    first = [sys.executable, "-m", "scenario_model", "edge", "first", "--config", str(config), "--json"]
    told = [json.loads(subprocess.run(first, capture_output=True, check=True).stdout) for _ in range(2)]
    assert told == [{"release": world.releases[1], "changed": changed} for changed in (True, False)]
    assert (world.folder / "site" / "follow").read_text().strip() == world.releases[1]
    written(world, ring="empty", follow=str(world.folder / "site" / "other"))
    done = subprocess.run(first, capture_output=True, text=True, check=False)
    assert done.returncode == 75
    assert "nothing is assigned to ring empty or to here yet; wait for the rollout" in done.stderr


def test_settings_of_how_it_works_come_from_a_file_of_their_own(world: World) -> None:
    options = world.folder / "options.json"
    options.write_text(json.dumps({"ready_seconds": 0.2}))
    done = edge(written(world), "--once", "--json", "--options", str(options))
    assert "was not ready within 0.2 s" in json.loads(done.stdout)["words"]
    options.write_text(json.dumps({"site": "another"}))
    done = edge(written(world), "--once", "--options", str(options))
    assert done.returncode == 2
    assert "key 'site' is unknown" in done.stderr or "unknown key 'site'" in done.stderr
