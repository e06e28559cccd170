"""`.venv` holds exactly what is locked, is set up once, and survives being killed on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import CliError, virtualenv

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements"


def pins(name: str) -> dict[str, str]:
    """Every package of a lock with its version, platform markers left out."""
    text = (LOCKS / f"{name}.lock").read_text()
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("subset", ["control", "model"])
def test_what_is_tested_is_what_is_deployed(subset: str) -> None:
    """The subsets pin the versions that the tests run with."""
    tested = pins("dev")
    assert pins(subset)
    assert {name: version for name, version in pins(subset).items() if tested.get(name) != version} == {}


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.lock")), ids=lambda path: path.stem)
def test_every_package_is_pinned_with_hashes_and_no_registry_is_named(lock: Path) -> None:
    text = lock.read_text()
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "==" in entry.splitlines()[0], entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


def test_a_python_that_is_named_and_differs_from_the_environments_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtualenv, "VENV", tmp_path)
    monkeypatch.setattr(virtualenv, "_STAMP", tmp_path / ".synced.json")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / ".synced.json").write_text(json.dumps({"set": "dev", "digest": virtualenv._digest("dev")}))
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version, named, refused in [
        ("3.9.1", "python3.13", True),
        ("3.9.1", "", False),
        (f"{ours}.1", "python3", False),
    ]:
        (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
        monkeypatch.setenv("PYTHON", named)
        if refused:
            with pytest.raises(
                CliError, match=rf"is for Python 3\.9, but PYTHON=python3\.13 is {ours}; remove "
            ):
                virtualenv.ensure("control")
        else:
            virtualenv.ensure("control")


@pytest.mark.slow
def test_a_killed_installation_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    for folder in ("bootstrap", "cli", "requirements", "stacks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "model").mkdir()
    shutil.copy(ROOT / "model" / "pyproject.toml", tmp_path / "model")
    command = [sys.executable, "-m", "cli.virtualenv", "control"]

    for delay_s in (0.7, 3.0, 7.0):
        run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(delay_s)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    check = "import pulumi, pydantic, cryptography, ansible, ansible_runner, yaml"
    subprocess.run([tmp_path / ".venv" / "bin" / "python", "-c", check], check=True)
    python = str(tmp_path / ".venv" / "bin" / "python")
    listed = [python, "-m", "uv", "pip", "list", "--format", "freeze", "--quiet"]
    found = subprocess.run(listed, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    installed = dict(line.split("==") for line in found.lower().split())
    assert set(installed) - {"pip", "setuptools", "uv", *(name.lower() for name in pins("control"))} == set()

    begun = time.monotonic()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "")
    assert time.monotonic() - begun < 5
