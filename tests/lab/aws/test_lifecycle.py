"""The AWS side of the lab comes up once, listens to this machine alone, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from lab import LabError
from lab.aws import lifecycle
from lab.processes import marked
from tests.lab.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    lifecycle.take_down(tmp_path / "state")
    assert marked(tmp_path / "state") == []
    assert not (tmp_path / "state" / "aws").exists()


def test_it_is_up_once_and_reached_from_this_machine_alone(folder: Path) -> None:
    api = lifecycle.bring_up(folder)
    pids = marked(folder)
    assert len(pids) == 2
    heard = {
        each.laddr.ip for pid in pids for each in psutil.Process(pid).net_connections() if not each.raddr
    }
    assert heard == {"127.0.0.1"}
    assert lifecycle.bring_up(folder) == api == lifecycle.running(folder)
    assert marked(folder) == pids, "the second call starts nothing"
    os.kill(pids[0], signal.SIGKILL)
    while lifecycle.running(folder):
        time.sleep(0.01)
    assert lifecycle.bring_up(folder) != api
    assert len(marked(folder)) == 2, "what was left of the old one is gone"


def test_after_a_kill_in_the_middle_of_a_start_everything_is_found(folder: Path) -> None:
    program = (
        f"from pathlib import Path; from lab.aws import lifecycle; lifecycle.bring_up(Path({str(folder)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as starting:
        while not marked(folder):
            time.sleep(0.01)
        starting.kill()
    (folder / "aws" / "record.json").unlink(missing_ok=True)
    lifecycle.take_down(folder)
    assert marked(folder) == []


def test_a_server_that_cannot_start_is_told_in_its_own_words(folder: Path) -> None:
    with pytest.raises(LabError, match=r"lab.aws.server did not start: .*(assign requested|not.* available)"):
        lifecycle.bring_up(folder, lifecycle.Place(bind="203.0.113.7"))
    assert marked(folder) == []
