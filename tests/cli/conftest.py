"""A project of its own for these tests: our controller and engine, and a program of a single resource."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bootstrap.pulumi.__main__ import find_engine
from bootstrap.pulumi.plugins import FETCH_NOTHING
from cli import PROJECT

ROOT = Path(__file__).parents[2]
# In a module of its own: what is in the program itself goes into the state by value, with its folder's name.
SLOW = """
import time
from pathlib import Path
from pulumi.dynamic import CreateResult, Resource, ResourceProvider, UpdateResult

class Slow(ResourceProvider):
    def create(self, props):
        Path("creating").write_text("now")
        time.sleep(float(props["seconds"]))
        Path("creating").unlink()
        Path("made").write_text("x")
        return CreateResult("made", props)

    def update(self, _id, _old, new):
        return UpdateResult(new)

    def delete(self, _id, _props):
        Path("made").unlink()

class Thing(Resource):
    def __init__(self, name, **props):
        super().__init__(Slow(), name, props)
"""
PROGRAM = """
import pulumi
from slow import Thing
config = pulumi.Config()
Thing("thing", seconds=config.require("seconds"))
pulumi.export("secret", pulumi.Output.secret("planted-value"))
"""


@dataclass
class Tree:
    """A copy of the control node in a folder of its own; `python` runs code in it."""

    path: Path
    environment: dict[str, str]

    def python(self, code: str, *, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", f"{SETUP}\n{code}"], cwd=self.path, env=self.environment, text=True,
            capture_output=True, timeout=120, **more,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start plain `pulumi`, as a user's shell would."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--stack", "s3-local", "--non-interactive"],
            cwd=self.path, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def settings(self) -> Path:
        return self.path / "stacks" / "Pulumi.s3-local.yaml"


# Without `prepare()`: the environment of this test run stands in for the tree's own .venv.
SETUP = """
import os
from pathlib import Path
from cli import CliError
from cli import state
from cli.stack import Stack
for folder in (state.STATE, state.STATE / "pulumi", state.BACKEND): folder.mkdir(exist_ok=True)
variables = state.variables(Path(os.environ["ENGINE"]))
if state.is_ours(variables): state._make_passphrase()
stack = Stack(name="s3-local", environment=variables)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return new_tree(tmp_path / "tree")


def new_tree(path: Path) -> Tree:
    """A checkout with a stack's file, and its environment: that of a user who has evaluated `make env`."""
    for package in ("bootstrap", "cli", "stacks"):
        shutil.copytree(ROOT / package, path / package)
    for file in (path / "stacks").glob("Pulumi.*.yaml"):
        file.unlink()
    (path / "stacks" / "Pulumi.s3-local.yaml").write_text(f"config:\n  {PROJECT}:seconds: 0\n")
    (path / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\nstackConfigDir: stacks\n")
    (path / "__main__.py").write_text(PROGRAM)
    (path / "slow.py").write_text(SLOW)
    engine = find_engine(os.environ.get("ENGINE_SOURCE", ""))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI")}
    environment |= {
        "ENGINE": str(engine),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(engine), os.environ["PATH"]]),
        "PULUMI_HOME": str(path / ".state" / "pulumi"),
        "PULUMI_BACKEND_URL": f"{(path / '.state' / 'backend').as_uri()}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(path / ".state" / "passphrase"),
        **FETCH_NOTHING,
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    }
    return Tree(path, environment)
