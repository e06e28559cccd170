"""`scenario-model`'s log: text as before, or JSON lines; errors alone on request; answers are not touched."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from scenario_model import cli, logs
from scenario_model.evaluate import command as evaluation
from scenario_model.serve import logs as serving
from scenario_model.train.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIGURES = {"step": 1, "of": 2, "loss": 3.5, "learning_rate": 0.1, "tokens_per_s": 9.0, "mfu": None}
FIGURES |= {"memory_bytes": 1 << 30, "seconds_left": 61}


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    """Each test begins and ends with the log as it is without options."""
    logs.configure()
    yield
    logs.configure()


def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit code, answer and log of a command line."""
    monkeypatch.setattr(sys, "argv", ["scenario-model", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    told = capfd.readouterr()
    return int(end.value.code or 0), told.out, told.err


def credentials(folder: Path) -> tuple[str, ...]:
    """A command that logs a line and needs nothing."""
    return ("credentials", "--out", str(folder), "--host", "localhost")


def test_without_options_a_line_is_text(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, answer, log = run(monkeypatch, capfd, *credentials(tmp_path / "c"))
    assert (code, answer) == (0, "")
    assert log.startswith("wrote ")
    assert log.endswith(f" in {tmp_path / 'c'}\n")


def test_json_of_the_log_and_of_the_answer_are_apart(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, log = run(monkeypatch, capfd, "--log-json", *credentials(tmp_path / "c"))
    line = json.loads(log)
    assert code == 0
    assert line.keys() == {"time", "level", "message"}
    assert (line["level"], line["message"].split()[0]) == ("info", "wrote")
    assert datetime.fromisoformat(line["time"]).tzinfo
    code, answer, log = run(monkeypatch, capfd, "--log-json", *credentials(tmp_path / "c"), "--json")
    assert json.loads(answer)["changed"] is False
    assert log == ""


def test_quiet_leaves_errors_and_their_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, capfd, "-q", *credentials(tmp_path / "c")) == (0, "", "")
    missing = tmp_path / "none.json"
    code, answer, log = run(monkeypatch, capfd, "-q", "train", "--config", str(missing))
    assert (code, answer) == (2, "")
    assert log.startswith(f"scenario-model: {missing}: ")
    assert log.count("\n") == 1


def test_verbose_names_the_files_that_are_read_and_json_their_level(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "none.json"
    _, _, log = run(monkeypatch, capfd, "-v", "--log-json", "train", "--config", str(missing))
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["level"] for line in lines] == ["debug", "error"]
    assert lines[0]["message"] == f"reading {missing}"


def test_verbose_and_quiet_together_are_refused() -> None:
    done = CliRunner().invoke(cli._cli, ["-v", "-q", "serve"])
    assert done.exit_code == 2
    assert "--verbose and --quiet are mutually exclusive" in done.output


def progress_of_training(path: Path) -> None:
    reporter = Reporter(path, 0)
    reporter.step(**FIGURES)
    reporter.close()


def test_progress_in_a_file_is_json_without_control_characters(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    progress_of_training(tmp_path / "progress.jsonl")
    evaluation._Progress()("new domain", 1.0)
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first) == FIGURES
    assert json.loads(second) == {"doing": "new domain", "share": 1.0}


def test_progress_in_json_has_time_and_level_as_every_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    logs.configure(as_json=True)
    progress_of_training(tmp_path / "progress.jsonl")
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time")
    assert line == {"level": "info", "message": "step", **FIGURES}


@pytest.mark.parametrize(
    ("level", "as_json"), [(logging.ERROR, False), (logging.ERROR, True), (logging.INFO, True)]
)
def test_a_terminal_sees_a_live_line_only_as_text_and_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: int, as_json: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    progress_of_training(tmp_path / "live.jsonl")
    assert terminal.getvalue().startswith("\r\033[Kstep 1/2")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    logs.configure(level=level, as_json=as_json)
    progress_of_training(tmp_path / "progress.jsonl")
    assert "\r" not in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) == (0 if level == logging.ERROR else 1)
    assert json.loads((tmp_path / "progress.jsonl").read_text(encoding="utf-8")) == FIGURES


def test_the_server_takes_level_and_form_from_the_same_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(logging, "raiseExceptions", True)  # what configure() changes is put back
    for name in (serving.LOGGER.name, *serving.QUIETENED):
        for attribute in ("handlers", "level", "propagate"):
            logger = logging.getLogger(name)
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))
    logs.configure(as_json=True)
    serving.configure()
    serving.info("ready", seconds=1.5)
    line = json.loads(terminal.getvalue())
    assert (line["level"], line["event"], line["seconds"]) == ("info", "ready", 1.5)
    logs.configure(level=logging.ERROR)
    serving.info("request")
    assert len(terminal.getvalue().splitlines()) == 1
