"""A job of two processes, as a pod starts it: the code it ends with, and shares that go on elsewhere."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.cloud.bucket import Bucket
from scenario_model.errors import Refused
from scenario_model.job.attempts import Attempts
from scenario_model.signing import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.job.conftest import Job

# `make test` stops a job of one process in test_job.py, and two that train together in tests/model/train.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def torchrun(config: Path) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "scenario_model.train.torchrun", "--nproc-per-node", "2"]
    return [*launcher, "--master-port", str(port), "-m", "scenario_model", "job", "--config", str(config)]


def events(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_told_to_stop_two_processes_save_and_go_on_from_the_bucket_to_the_same_weights(
    new_job: Callable[[str], Job], environment: dict[str, str], tmp_path: Path
) -> None:
    job = new_job("shares")
    recipe = {**job.settings["recipe"], "strategy": "fsdp", "checkpoint_every_steps": 1000}
    # A gate that fails: all the rest is the same, and its code has to come through torchrun too.
    changed = {"recipe": recipe, "gate": {**job.settings["gate"], "minimum_gain": 50.0}}
    command = torchrun(job.config(**changed))
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert first.stdout
    said = ""
    while '"step": 7' not in said:
        line = first.stdout.readline()
        assert line, said
        said += line
    first.send_signal(signal.SIGTERM)
    said += first.communicate(timeout=600)[0]
    assert first.returncode == 128 + signal.SIGTERM
    stopped = events(said)[-1]
    assert stopped["event"] == "stopped"
    last = [event["step"] for event in events(said) if "step" in event][-1]
    command = torchrun(job.config(**changed, scratch=str(tmp_path / "scratch")))
    second = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    assert second.returncode == Refused.exit_code
    assert [event["step"] for event in events(second.stdout) if "step" in event] == list(range(last + 1, 31))
    whole = new_job("whole-shares")
    command = torchrun(whole.config(**changed))
    undisturbed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    assert events(second.stdout)[-1]["model"] == events(undisturbed.stdout)[-1]["model"]


def test_after_attempts_without_progress_two_processes_end_with_1_and_train_nothing(
    new_job: Callable[[str], Job], environment: dict[str, str], s3: Any
) -> None:
    job = new_job("fruitless-shares")
    command = torchrun(job.config())
    begun = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert begun.stdout
    (run,) = (event["run"].removeprefix("sha256:") for event in events(begun.stdout.readline()))
    begun.send_signal(signal.SIGTERM)
    begun.communicate(timeout=600)
    place = f"checkpoints/{run}"
    for _ in range(3):
        Attempts(Bucket(f"{job.store}/{place}"), keys.load_private(job.private), place).begin(0)
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == Refused.exit_code
    refused = events(ended.stdout)[-1]
    assert refused["event"] == "refused"
    assert "3 attempts in a row went on after step 0" in refused["reasons"][0]
