"""The playbooks are clean by the linters' strictest profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLAYBOOKS = Path(__file__).parents[2] / "ansible"


def lint(*command: str, folder: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_yamllint_has_nothing_to_say() -> None:
    lint("yamllint", "--strict", "ansible", folder=PLAYBOOKS.parent)


@pytest.mark.slow
def test_ansible_lint_has_nothing_to_say_in_its_production_profile() -> None:
    lint("ansible-lint", "--offline", "--strict", folder=PLAYBOOKS)


def test_every_module_is_documented_as_ansible_doc_wants_it() -> None:
    names = sorted(path.stem for path in (PLAYBOOKS / "library").glob("*.py"))
    lint("ansible-doc", "-M", "library", "-t", "module", *names, folder=PLAYBOOKS)
