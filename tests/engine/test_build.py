"""The engine from Go modules: pinned, verified, and finished by the next run when it was killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import VERSION, EngineError
from engine.__main__ import find_engine
from engine.build import _environment
from engine.installed import intact

ROOT = Path(__file__).parents[2]
GO = ROOT / "engine" / "go"


def a_go_that_says(version: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\necho {version}\n")
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_go_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        EngineError, match=r"needs Go 1\.25\.11, and there is no go on PATH; install Go 1\.25\.11"
    ):
        find_engine("build")


@pytest.mark.parametrize("version", ["go1.19.8", "go1.25.10", "go1.25rc1"])
def test_a_go_that_is_too_old_is_named_with_the_one_that_is_needed(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOTOOLCHAIN", raising=False)
    a_go_that_says(version, tmp_path / "bin", monkeypatch)
    with pytest.raises(EngineError, match=rf"needs Go 1\.25\.11, here is {version}; install Go"):
        find_engine("build")


def test_checksums_are_verified_whatever_the_users_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GOFLAGS": "-mod=mod -insecure", "GONOSUMDB": "*", "GOINSECURE": "*"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOTOOLCHAIN", raising=False)
    environment = _environment()
    assert environment["GOFLAGS"] == "-mod=readonly -trimpath"
    assert environment["GOTOOLCHAIN"] == "local", "no other Go is fetched behind the user's back"
    assert not {"GONOSUMDB", "GOINSECURE", "GONOSUMCHECK"} & set(environment)
    assert environment.get("GOSUMDB") != "off"


def test_the_modules_are_pinned_at_the_version_that_is_announced() -> None:
    cli = (GO / "cli" / "go.mod").read_text()
    assert re.search(rf"github\.com/pulumi/pulumi/pkg/v3 v{re.escape(VERSION)}\b", cli)
    assert re.search(rf"github\.com/pulumi/pulumi/sdk/v3 v{re.escape(VERSION)}\b", cli)
    for module in ("cli", "host"):
        required = re.findall(r"^\t(\S+) (v\S+)", (GO / module / "go.mod").read_text(), re.MULTILINE)
        sums = (GO / module / "go.sum").read_text()
        missing = [name for name, version in required if f"{name} {version}/go.mod h1:" not in sums]
        assert required
        assert not missing


def test_a_module_that_is_not_the_pinned_one_stops_the_build(tmp_path: Path) -> None:
    """A sum in go.sum that does not fit is refused by Go under the environment that we build in."""
    if shutil.which("go") is None:
        pytest.skip("needs Go 1.25.11 or newer on PATH")
    module = shutil.copytree(GO / "host", tmp_path / "host")
    sums = (module / "go.sum").read_text()
    right = re.search(r"github\.com/pulumi/pulumi/sdk/v3 v3\.78\.1 h1:(\S+)", sums)
    assert right
    (module / "go.sum").write_text(sums.replace(right[1], "A" * 43 + "="))
    done = subprocess.run(
        [
            "go",
            "build",
            "-o",
            str(tmp_path / "host.bin"),
            "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
        ],
        cwd=module,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "checksum mismatch" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_build_that_is_killed_goes_on_in_the_next_run(cache: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("needs Go 1.25.11 or newer on PATH")
    command = [sys.executable, "-m", "engine"]
    environment = os.environ | {"ENGINE_SOURCE": "build"}
    for delay_s in (0.5, 5.0):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (cache / "build").exists()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(cache / "build")
    assert intact(cache / "build")
    assert sorted(path.name for path in cache.iterdir()) == ["build"]
    assert "(build)" in done.stderr
