"""A stack of the real engine, in folders of its own: a tiny project whose playbooks take a second each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import find_engine

ROOT = Path(__file__).parents[2]
PASSPHRASE = "planted-passphrase-5f1d8a"


@dataclass
class Project:
    """A copy of `project/` with its own backend; `pulumi` runs there in a given shape."""

    path: Path
    environment: dict[str, str]

    @property
    def premises(self) -> Path:
        return self.path / "premises"

    @property
    def backend(self) -> Path:
        return self.path.parent / "backend"

    def start(self, *arguments: str, **shape: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.path,
            env=self.environment | {"SHAPE": json.dumps(shape)},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def pulumi(self, *arguments: str, check: bool = True, **shape: Any) -> str:
        """Run a command to its end; return what it printed."""
        with self.start(*arguments, **shape) as process:
            said, _ = process.communicate(timeout=300)
        assert not check or process.returncode == 0, said
        return said

    def up(self, *, check: bool = True, **shape: Any) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", check=check, **shape)

    def preview(self, **shape: Any) -> str:
        return self.pulumi("preview", "--diff", **shape)

    def output(self, name: str) -> Any:
        return json.loads(self.pulumi("stack", "output", name, "--json", "--show-secrets"))

    def unchanged(self, **shape: Any) -> bool:
        """Whether a preview shows no change of any kind."""
        summary = json.loads(self.pulumi("preview", "--json", **shape))["changeSummary"]
        return set(summary) == {"same"}


@pytest.fixture(scope="session")
def pulumi_engine() -> Path:
    """The folder of the engine, found or made as `python -m engine` does."""
    return find_engine()


@pytest.fixture
def project(tmp_path: Path, pulumi_engine: Path) -> Project:
    """A stack that is not up yet; whatever it leaves is removed with the folder."""
    path = tmp_path / "project"
    shutil.copytree(ROOT / "tests" / "components" / "project", path)
    for folder in ("backend", "private"):
        (tmp_path / folder).mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment = inherited | {
        "PATH": f"{Path(sys.executable).parent}:{pulumi_engine}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": (tmp_path / "backend").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "XDG_RUNTIME_DIR": str(tmp_path / "private"),
    }
    project = Project(path, environment)
    project.pulumi("stack", "init", "test")
    return project
