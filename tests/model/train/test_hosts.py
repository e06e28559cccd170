"""Training over several hosts: here two launchers, each with a folder that the other one never sees."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from scenario_model.config import load_file as load_config
from scenario_model.train.gathering import Waiting
from scenario_model.train.plan import make_plan
from scenario_model.train.settings import TrainSettings
from scenario_model.train.torchrun import exit_code, interface_to
from tests.processes import kill_all

Configure = Callable[..., Path]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(configs: list[Path], *, peer_timeout: int = 60) -> list[subprocess.Popen[str]]:
    """Start the service's command on each host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "scenario_model.train.torchrun", f"--nnodes={len(configs)}"]
    launcher += ["--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
    launcher += [f"--rdzv-conf=timeout={peer_timeout}"]
    train = ["-m", "scenario_model", "train", f"--peer-timeout={peer_timeout}", "--config"]
    return [
        subprocess.Popen(
            [*launcher, f"--node-rank={number}", *train, str(config)],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, config in enumerate(configs)
    ]


def kill(host: subprocess.Popen[str]) -> None:
    """End all of a host's processes at once: torchrun gives each a session of its own."""
    processes = psutil.Process(host.pid).children(recursive=True)
    kill_all((psutil.Process(host.pid), *processes))


def ends(hosts: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """What each host's command ended with, and what it said."""
    return [(host.returncode, said) for host in hosts for _, said in [host.communicate(timeout=120)]]


def folder_of(config: Path) -> Path:
    return make_plan(load_config(TrainSettings, config), 2).folder.root


def wait_for_steps(folder: Path, number: int, host: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    progress = folder / "progress.jsonl"
    while not progress.exists() or len(progress.read_text().splitlines()) < number:
        assert host.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_host_comes_back_with_nothing_and_the_run_ends_as_if_it_had_not_been_away(
    configure: Configure,
) -> None:
    # DDP over hosts is in tests/end_to_end/test_training_hosts.py.
    recipe = {"strategy": "fsdp", "max_steps": 40, "epochs": 10, "checkpoint_every_steps": 5}
    whole = [configure(runs=f"whole-{number}", **recipe) for number in range(2)]
    assert [code for code, _ in ends(start(whole))] == [0, 0]
    killed = [configure(runs=f"killed-{number}", **recipe) for number in range(2)]
    hosts = start(killed)
    wait_for_steps(folder_of(killed[0]), 8, hosts[0])
    kill(hosts[1])
    (left, said), (gone, _) = ends(hosts)
    assert (left, gone) == (os.EX_TEMPFAIL, -signal.SIGKILL)
    assert "another process of this run ended, or did not respond for 60 s; start it again" in said
    assert "Traceback" not in said
    assert not folder_of(killed[0]).joinpath("result.json").exists()
    resumed = ends(start(killed))
    assert [code for code, _ in resumed] == [0, 0]
    assert "resuming after step " in resumed[0][1]
    results = [json.loads((folder_of(each[0]) / "result.json").read_text()) for each in (whole, killed)]
    assert results[0]["model"] == results[1]["model"]
    assert not folder_of(killed[1]).exists(), "the first host alone keeps the run"


@pytest.mark.slow
def test_a_host_that_stays_away_ends_the_others_with_a_message_that_says_so(configure: Configure) -> None:
    hosts = start([configure(runs=f"{number}") for number in range(2)], peer_timeout=12)
    kill(hosts[1])
    (code, said), _ = ends(hosts)
    assert code == os.EX_TEMPFAIL
    assert "not every host joined" in said.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_host_with_other_data_ends_all_of_them_for_good_and_is_named(
    configure: Configure, tmp_path: Path
) -> None:
    configs = [configure(runs=f"{number}") for number in range(2)]
    other = json.loads(configs[1].read_text())
    other["data"]["held_out"] = 0.5
    configs[1].write_text(json.dumps(other))
    for code, said in ends(start(configs)):
        assert code == 2
        assert f"{socket.gethostname()} differs from the first host in data" in said
    assert not list(tmp_path.glob("*/*/result.json"))


def test_another_number_of_processes_is_another_run(configure: Configure) -> None:
    settings: Any = load_config(TrainSettings, configure())
    assert make_plan(settings, 1).digest != make_plan(settings, 2).digest


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [([2], 2), ([-15, 1], 1), ([75, 2], 2), ([75, 75], 75), ([143], 143), ([-9], 75), ([-6, 75], 75)],
)
def test_a_service_ends_as_its_processes_did(codes: list[int], wanted: int) -> None:
    assert exit_code(codes) == wanted


def test_the_interface_is_the_one_that_leads_to_the_first_host() -> None:
    assert interface_to("127.0.0.1", Waiting(1.0, print)) == "lo"
