"""A run's curves, read back by the programs that people look at them with."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scenario_model.cli import main
from scenario_model.curves.command import command
from scenario_model.curves.points import Point, points_of, thinned
from scenario_model.errors import InputError
from scenario_model.train.reporter import Reporter

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "ab" * 32


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has made six of eight steps."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"digest": f"sha256:{DIGEST}"}))
    write_steps(folder, 0, 6)
    return folder


def write_steps(folder: Path, before: int, until: int) -> None:
    with (folder / "log").open("a") as log:
        reporter = Reporter(folder / "progress.jsonl", before, log)
        for step in range(before + 1, until + 1):
            figures = {"memory_bytes": 1, "mfu": None, "seconds_left": 1.0, "tokens_per_s": 100.0 + step}
            reporter.step(step=step, of=8, loss=4.0 - step / 4, learning_rate=step * 1e-4, **figures)


def finish(folder: Path) -> None:
    write_steps(folder, 6, 8)
    (folder / "evaluation.json").write_text(json.dumps({"passed": True}))
    (folder / "result.json").write_text("{}")


def asked(*arguments: Any) -> str:
    done = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def in_tensorboard(folder: Path) -> list[int]:
    events = EventAccumulator(str(folder / DIGEST[:12])).Reload()
    assert {"training/loss", "training/learning_rate", "training/tokens_per_s"} <= set(
        events.Tags()["tensors"]
    )
    return [event.step for event in events.Tensors("training/loss")]


def test_a_line_that_is_being_written_and_repeated_steps_do_no_harm(run: Path) -> None:
    write_steps(run, 4, 6)
    with (run / "progress.jsonl").open("a") as stream:
        stream.write('{"step": 7, "of": 8, "lo')
    assert [point.step for point in points_of(run)] == [1, 2, 3, 4, 5, 6]
    assert points_of(run)[-1] == Point(6, 8, 2.5, 6 * 1e-4, 106.0)


def test_fewer_points_keep_both_ends() -> None:
    points = [Point(step, 100, 1.0, 1.0, 1.0) for step in range(1, 101)]
    steps = [point.step for point in thinned(points, 7)]
    assert (steps[0], steps[-1], len(set(steps))) == (1, 100, 7)
    assert thinned(points[:7], 7) == points[:7]


def test_tensorboard_has_each_step_once_however_often_it_is_brought(run: Path, tmp_path: Path) -> None:
    assert "step 6 of 8" in asked(run, "--tensorboard", tmp_path / "events")
    assert "step 6 of 8" in asked(run, "--tensorboard", tmp_path / "events")
    finish(run)
    assert "complete" in asked(run, "--tensorboard", tmp_path / "events")
    assert in_tensorboard(tmp_path / "events") == list(range(1, 9))
    gate = EventAccumulator(str(tmp_path / "events" / DIGEST[:12])).Reload().Tensors("gate/passed")
    assert [event.step for event in gate] == [8]


def test_following_ends_with_the_run(run: Path, tmp_path: Path) -> None:
    def later() -> None:
        time.sleep(1)
        finish(run)

    writer = threading.Thread(target=later)
    writer.start()
    assert "complete" in asked(run, "--tensorboard", tmp_path / "events", "--follow")
    writer.join()
    assert in_tensorboard(tmp_path / "events") == list(range(1, 9))


def test_mlflow_has_one_run_with_each_step_once_and_what_the_gate_said(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its store of files is the one that needs no server.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = f"file://{tmp_path / 'mlruns'}"
    for _ in range(2):
        asked(run, "--mlflow", where)
    finish(run)
    asked(run, "--mlflow", where)
    client = MlflowClient(tracking_uri=where)
    (experiment,) = [each for each in client.search_experiments() if each.name == "scenario-model"]
    (made,) = client.search_runs([experiment.experiment_id])
    assert made.data.tags["scenario.run"] == DIGEST
    assert made.data.tags["scenario.gate"] == "passed"
    assert made.info.status == "FINISHED"
    for name in ("loss", "learning_rate", "tokens_per_s"):
        assert [each.step for each in client.get_metric_history(made.info.run_id, name)] == list(range(1, 9))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--mlflow", "http://127.0.0.1:9"], "MLflow does not answer"),
        (["--mlflow", "nonsense://x"], "MLflow refuses"),
        (["--tensorboard", "/proc/none"], "cannot be written to"),
    ],
)
def test_what_does_not_take_them_is_named(
    run: Path,
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["scenario-model", "curves", str(run), *arguments])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said


@pytest.mark.parametrize("package", ["tensorboard", "mlflow"])
def test_without_the_library_the_remedy_is_named(
    run: Path, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"{package} is not installed") as raised:
        asked(run, f"--{package}", tmp_path / "there")
    assert f"-m pip install {package}" in str(raised.value)


def test_a_folder_that_is_no_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a training run"):
        asked(tmp_path)
