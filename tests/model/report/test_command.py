"""`scenario-model report`, as people run it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from scenario_model.observe.windows import WindowLog
from scenario_model.report.command import command
from scenario_model.serve import credentials
from tests.model.report import made

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's configuration, and what it has seen."""
    tls = credentials.ensure(tmp_path / "tls", ["localhost"]).directory
    monkeypatch.setattr(made, "START", time.time())
    log = WindowLog(tmp_path / "observation" / "windows.jsonl")
    for window in made.asking():
        log.add(window)
    told = {
        "store": str(tmp_path / "store"),
        "name": "assistant",
        "verification_key": str(tmp_path / "verification.pem"),
        "tls": {"certificate": str(tls / "server.pem"), "private_key": str(tls / "server.key")},
        "api_keys": str(tls / "api_keys.json"),
        "cache": str(tmp_path / "cache"),
        "observation": {"state": str(tmp_path / "observation")},
    }
    (tmp_path / "serve.json").write_text(json.dumps(told))
    return tmp_path / "serve.json"


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_report_is_written_on_the_servers_host_and_read_elsewhere(config: Path) -> None:
    folder = config.parent
    said = run("write", "--config", config, "--out", folder / "report.json")
    assert said == f"{folder}/report.json: {made.RELEASE} asks for retraining\n"
    shown = ("show", folder / "report.json", "--authority", folder / "tls" / "ca.pem")
    said = run(*shown, "--picture", folder / "evidence.svg")
    assert said.splitlines()[0].startswith(f"{made.RELEASE} asks for retraining (CN=")
    assert "  changed: 50000, alarm at 40000  ALARM" in said
    assert "at most one alarm in 10,000 windows" in said
    assert "<title>Drift</title>" in (folder / "evidence.svg").read_text()
    assert json.loads(run(*shown, "--json"))["drift"]["asks"] == "retraining"
