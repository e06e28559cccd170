"""A cluster whose start was killed leaves nothing, and the next start works."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from lab.fixtures import a_folder
from lab.kubernetes import network
from lab.record import Record
from lab.side import cloud_of
from tests.lab.conftest import ROOT, command, finish, machine
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.compose import Lab

pytestmark = pytest.mark.slow

KILLS = 20


@pytest.fixture
def folder(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for a second lab with a cluster, beside that of the session."""
    assert not network.lacking()
    with a_folder() as folder:
        monkeypatch.setenv("LAB_STATE", str(folder))
        yield folder


# `make test` kills the start of a lab without a cluster: tests/lab/test_commands.py.
@pytest.mark.soak
def test_a_start_that_is_killed_when_the_cluster_has_begun_leaves_nothing_and_the_next_one_works(
    folder: Path,
) -> None:
    before = machine(folder)
    kill(lambda: until(lambda: Record.load(cloud_of(folder)), timeout_s=120))
    assert finish("down").returncode == 0
    assert machine(folder) == before
    assert not folder.exists()
    done = finish("up", "--hosts", "1")
    assert done.returncode == 0, done.stderr


@pytest.mark.soak
@pytest.mark.timeout(120 + 90 * KILLS)
def test_a_start_that_is_killed_at_any_point_leaves_nothing_and_the_next_one_works(folder: Path) -> None:
    before = machine(folder)
    begun = time.monotonic()
    done = finish("up", "--hosts", "1")
    whole = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert finish("down").returncode == 0
    assert machine(folder) == before
    seen = []
    for turn in range(KILLS):
        # Evenly over the start, and random within each part of it.
        moment = whole * (turn + random.random()) / KILLS
        kill(lambda moment=moment: time.sleep(moment))  # type: ignore[misc]
        record = Record.load(cloud_of(folder))
        seen.append(f"{moment:.1f} s: {record.phase if record else 'no cluster yet'}")
        done = finish("down")
        assert done.returncode == 0, f"killed after {moment:.3f} s: {done.stderr}"
        assert machine(folder) == before, f"killed after {moment:.3f} s"
        assert not folder.exists()
    print(f"killed in {whole:.1f} s at", seen)
    done = finish("up", "--hosts", "1")
    assert done.returncode == 0, done.stderr


def kill(moment: Callable[[], None]) -> None:
    """Start the lab, and kill the command when the moment has come."""
    with subprocess.Popen(command("up", "--hosts", "1"), cwd=ROOT, stderr=subprocess.DEVNULL) as run:
        moment()
        run.send_signal(signal.SIGKILL)
