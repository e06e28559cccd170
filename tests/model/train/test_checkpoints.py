"""What a run does with its checkpoints: resume, fall back, stop on SIGTERM, share a folder, survive a full
disk."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_model.config import load_file as load_config
from scenario_model.errors import InputError
from scenario_model.train.loop import StoppedError
from scenario_model.train.plan import make_plan
from scenario_model.train.run import train
from scenario_model.train.settings import TrainSettings

Configure = Callable[..., Path]
STEPS = 4

pytestmark = pytest.mark.slow


def plan_of(config: Path) -> Any:
    return make_plan(load_config(TrainSettings, config))


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sends this process SIGTERM in the midst of a step."""
    from scenario_model.train.loop import Training

    real = Training.one_step

    def arrange(step: int) -> None:
        def one_step(self: Training, number: int) -> float:
            if number == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, number)

        monkeypatch.setattr(Training, "one_step", one_step)

    return arrange


@pytest.fixture
def stopped(configure: Configure, stop_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a run that SIGTERM stopped after three of four steps."""
    config = configure(max_steps=STEPS, micro_batch=4)
    stop_after(2)
    with pytest.raises(StoppedError, match="after step 3") as stop:
        train(plan_of(config))
    assert stop.value.exit_code == 143
    monkeypatch.undo()
    return config


@pytest.fixture
def uninterrupted(configure: Configure) -> str:
    result, _ = train(plan_of(configure(runs="uninterrupted", max_steps=STEPS, micro_batch=4)))
    digest: str = result["model"]
    return digest


def test_sigterm_saves_the_step_and_the_rerun_ends_bit_for_bit_the_same(
    stopped: Path, uninterrupted: str
) -> None:
    plan = plan_of(stopped)
    assert [path.name for path in sorted(plan.folder.checkpoints.glob("step-*"))] == [
        "step-00000002",
        "step-00000003",
    ]
    assert plan.summary()["state"] == "partial"
    result, changed = train(plan)
    assert changed
    assert result["model"] == uninterrupted
    steps = [json.loads(line)["step"] for line in plan.folder.progress.read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", ["flip", "truncate", "no marker", "torn marker", "no file"])
def test_a_damaged_newest_checkpoint_is_passed_over_for_the_one_before(
    stopped: Path, uninterrupted: str, damage: str
) -> None:
    plan = plan_of(stopped)
    newest = plan.folder.checkpoints / "step-00000003"
    weights, marker = newest / "rank-0.safetensors", newest / "complete.json"
    content = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "truncate":
        weights.write_bytes(content[: len(content) // 2])
    elif damage == "no marker":
        marker.unlink()
    elif damage == "torn marker":
        marker.write_text(marker.read_text()[:40])
    else:
        weights.unlink()
    result, _ = train(plan)
    assert result["model"] == uninterrupted


def test_with_every_checkpoint_gone_it_starts_again(stopped: Path, uninterrupted: str) -> None:
    plan = plan_of(stopped)
    shutil.rmtree(plan.folder.checkpoints)
    result, _ = train(plan)
    assert result["model"] == uninterrupted


def test_a_checkpoint_of_another_number_of_processes_is_refused(stopped: Path) -> None:
    plan = plan_of(stopped)
    for marker in plan.folder.checkpoints.glob("*/complete.json"):
        content = json.loads(marker.read_text())
        content["shape"] = {"processes": 2, "strategy": "fsdp"}
        marker.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"written by 2 process\(es\) of strategy fsdp"):
        train(plan)


def test_nothing_in_a_run_is_a_pickle(stopped: Path) -> None:
    for path in plan_of(stopped).folder.root.rglob("*"):
        if path.is_file():
            assert not path.read_bytes().startswith((b"\x80", b"PK")), path


def test_a_full_disk_is_one_clear_message_and_the_rerun_goes_on(configure: Configure, warm: Any) -> None:
    config = configure(max_steps=STEPS)
    reference = configure(runs="reference", max_steps=STEPS)
    assert warm.run("train", "--config", str(reference)) == 0
    command = [sys.executable, "-m", "scenario_model", "train", "--config", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    # A file size limit makes the system refuse a write as a full disk does, without needing root or a disk.
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    failed = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=limited)
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert last.startswith("scenario-model: ")
    assert "a file would be larger than allowed; free some space or choose another place" in last
    assert "Traceback" not in failed.stderr
    assert warm.run("train", "--config", str(config)) == 0
    results = [json.loads(plan_of(path).folder.result.read_text())["model"] for path in (config, reference)]
    assert results[0] == results[1]


def test_a_second_process_at_the_same_run_waits_and_then_finds_it_done(
    configure: Configure, warm: Any
) -> None:
    config = configure(max_steps=40, epochs=20)
    folder = plan_of(config).folder
    command = [sys.executable, "-m", "scenario_model", "train", "--config", str(config), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    warm.start("train", "--config", str(config))
    while not folder.progress.exists():
        time.sleep(0.01)
    second = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert warm.wait() == 0
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["changed"] is False or "another process" in second.stderr


def test_disk_full_while_saving_keeps_the_checkpoint_before(
    configure: Configure, uninterrupted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file as real

    from scenario_model.errors import ScenarioModelError
    from scenario_model.train import checkpoint

    calls: list[Path] = []

    def save_file(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            # What safetensors raises when the system says ENOSPC, after part of the file is there.
            path.write_bytes(b"half a file")
            raise OSError(28, "No space left on device")
        real(tensors, path)

    config = configure(max_steps=STEPS, micro_batch=4)
    monkeypatch.setattr(checkpoint, "save_file", save_file)
    with pytest.raises(ScenarioModelError, match="no space left on the disk"):
        train(plan_of(config))
    monkeypatch.undo()
    plan = plan_of(config)
    assert (plan.folder.checkpoints / "step-00000002" / "complete.json").exists()
    result, _ = train(plan)
    assert result["model"] == uninterrupted
