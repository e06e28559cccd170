"""A stack of the real engine, in folders of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.pulumi.plugins import FETCH_NOTHING

ROOT = Path(__file__).parents[1]
PASSPHRASE = "planted-passphrase-5f1d8a"


@dataclass
class PulumiProject:
    """A copy of a project with its own backend; `pulumi` runs there in a given shape."""

    path: Path
    environment: dict[str, str]

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
            said, _ = process.communicate(timeout=900)
        assert not check or process.returncode == 0, said
        return said

    def up(self, *, check: bool = True, **shape: Any) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", check=check, **shape)

    def preview(self, *, check: bool = True, **shape: Any) -> str:
        return self.pulumi("preview", "--diff", check=check, **shape)

    def output(self, name: str) -> Any:
        return json.loads(self.pulumi("stack", "output", name, "--json", "--show-secrets"))

    def unchanged(self, **shape: Any) -> bool:
        """Whether a preview shows no change of any kind."""
        summary = json.loads(self.pulumi("preview", "--json", **shape))["changeSummary"]
        return set(summary) == {"same"}


def new_project(source: Path, above: Path, engine: Path, *first_on_path: Path) -> PulumiProject:
    """Copy a project below `above` and make its stack; whatever it leaves is removed with the folder."""
    path = above / "project"
    shutil.copytree(source, path)
    for folder in ("backend", "private"):
        (above / folder).mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    programs = [Path(sys.executable).parent, *first_on_path, engine]
    environment = inherited | {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "PULUMI_HOME": str(above / "home"),
        "PULUMI_BACKEND_URL": f"{(above / 'backend').as_uri()}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        **FETCH_NOTHING,
        "XDG_RUNTIME_DIR": str(above / "private"),
    }
    project = PulumiProject(path, environment)
    project.pulumi("stack", "init", "test")
    return project
