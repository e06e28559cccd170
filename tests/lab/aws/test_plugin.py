"""The real plugin is taken where it is installed, the stand-in nowhere else; neither is pointed at AWS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lab.aws import plugin


def test_the_stand_in_is_put_where_the_real_plugin_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    folder = plugin.stand_in(tmp_path)
    assert folder
    assert (folder / plugin.NAME).stat().st_mode & 0o111
    monkeypatch.setenv("PATH", str(folder))
    assert plugin.real_plugin() is None, "the stand-in does not take itself for the real one"


def test_a_real_plugin_in_pulumis_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    folder = tmp_path / "plugins" / "resource-aws-v7.51.1"
    folder.mkdir(parents=True)
    (folder / plugin.NAME).write_bytes(b"\x7fELF")
    assert plugin.real_plugin() == folder / plugin.NAME
    assert plugin.real_plugin("7.50.0") is None or plugin.real_plugin("7.50.0") != folder / plugin.NAME
    assert plugin.stand_in(tmp_path) is None


def test_a_real_plugin_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    (tmp_path / plugin.NAME).write_bytes(b"\x7fELF")
    (tmp_path / plugin.NAME).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert plugin.real_plugin() == tmp_path / plugin.NAME


def test_a_stack_is_configured_for_the_lab_and_for_no_credentials_of_its_user() -> None:
    told = plugin.stack_configuration("http://127.0.0.1:4000")
    (endpoints,) = json.loads(told["aws:endpoints"])
    assert set(endpoints.values()) == {"http://127.0.0.1:4000"}
    assert {"ec2", "eks", "iam", "s3", "sts", "ecr", "kms"} <= set(endpoints)
    assert told["aws:skipCredentialsValidation"] == "true"
    assert told["aws:s3UsePathStyle"] == "true"
    assert told["aws:accessKey"] == "lab"


@pytest.mark.slow
def test_the_stand_in_ends_when_the_engine_that_started_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    program = plugin.write_stand_in(tmp_path) / plugin.NAME
    engine = ["sh", "-c", f"{program} 127.0.0.1:9 & echo $!; wait"]
    with subprocess.Popen(engine, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        stand_in = psutil.Process(int(started.stdout.readline()))
        assert started.stdout.readline().strip().isdecimal(), "its port: it serves"
        started.kill()
        stand_in.wait(timeout=30)
