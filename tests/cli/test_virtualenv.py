"""`.venv` holds exactly what is locked, is set up once, and survives being killed on the way."""

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
