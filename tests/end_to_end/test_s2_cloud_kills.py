"""`kill -9` of the engine that brings `s2-cloud-training` up from nothing. KILLS=20 for the whole proof."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import psutil
import pytest

from lab.cloud_training import STACK
from tests.end_to_end.cloud import Cloud, clone_for, tiny_training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.both import Lab
    from lab.kubernetes.cluster import Cluster

KILLS = int(os.environ.get("KILLS", "1"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 + 240 * KILLS)]
EVENTS = 190  # lines of an update that tell of a resource, or of a step of the training


@pytest.fixture
def cloud(
    lab: Lab, cluster: Cluster, tiny_foundation: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The stack with a tiny model and a few texts, not up yet."""
    with clone_for(lab, cluster, tiny_foundation, tmp_path_factory.mktemp("s2-kills")) as made:
        made.settings |= tiny_training()
        made.write()
        yield made


def test_a_killed_update_is_gone_on_with_by_make_up_and_leaves_no_orphan(cloud: Cloud) -> None:
    moments = random.Random("cloud")
    for number in range(KILLS):
        if number:
            cloud.down()
        place = killed(cloud, moments.randrange(EVENTS))
        lost = cloud.orphans()
        said = cloud.up()
        told = [line for line in said.splitlines() if "recovery: begun" in line]
        print(f"kill {number + 1}: after {place!r}; {lost.strip() or 'nothing was lost'}; {told}")
        assert cloud.orphans() == ""
        cloud.clone.pulumi("preview", "--expect-no-changes")


def killed(cloud: Cloud, event: int) -> str:
    """Bring it up and kill the engine after so many events; return the last, "" if it was done by then."""
    command = ["make", "up", f"STACK={STACK}"]
    environment = cloud.clone.environment()
    last = ""
    with subprocess.Popen(
        command, cwd=cloud.clone.path, env=environment, text=True, stdout=subprocess.PIPE
    ) as make:
        assert make.stdout
        for line in make.stdout:
            if " creating (" in line or " created (" in line or ": step " in line:
                last, event = line.strip(), event - 1
            if event == 0:
                (engine,) = [
                    each for each in psutil.Process(make.pid).children(recursive=True) if is_up(each)
                ]
                engine.kill()
                event = -1
                break
        make.stdout.read()
    assert (make.returncode == 0) == (event > 0)
    return last if event < 0 else ""


def is_up(process: psutil.Process) -> bool:
    """Whether it is `pulumi up`."""
    return process.name() == "pulumi" and "up" in process.cmdline()
