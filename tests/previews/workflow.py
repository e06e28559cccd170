"""Runs a workflow's steps as GitHub does: a new checkout, `bash -e` for each, artefacts from one workflow to the next.

A stand-in for a runner. What it does not know, an action or an expression, fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")


@dataclass
class Runner:
    """One run of a workflow.

    Attributes:
        origin: the repository.
        ref: what is checked out.
        checkout: where.
        artefacts: a folder for each, by name.
        context: values of expressions, by their text.
        environment: what a runner of GitHub's sets.
        ran: names of the steps that were run, with how they ended.

    """

    origin: Path
    ref: str
    checkout: Path
    artefacts: Path
    context: dict[str, str]
    environment: dict[str, str]
    ran: list[tuple[str, int]] = field(default_factory=list)

    def run(self, workflow: str) -> bool:
        """Run all steps of a workflow's only job, to the first that fails; return whether none did."""
        text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
        (job,) = yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]:
            assert "if" not in step
            code = self._command(step) if "run" in step else self._action(step)
            self.ran.append((step.get("name", step.get("uses", "").partition("@")[0]), code))
            if code:
                return False
        return True

    def _value(self, text: Any) -> str:
        return _EXPRESSION.sub(lambda found: self.context[found[1]], str(text))

    def _command(self, step: dict[str, Any]) -> int:
        told = {name: self._value(value) for name, value in (step.get("env") or {}).items()}
        assert "${{" not in step["run"]
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=self.checkout,
            env=self.environment | told,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        print(done.stdout)
        return done.returncode

    def _action(self, step: dict[str, Any]) -> int:
        given = step.get("with") or {}
        match step["uses"].partition("@")[0]:
            case "actions/checkout":
                depth = ["--depth", "1"] if given.get("fetch-depth", 1) else []
                place = [self.origin.as_uri(), str(self.checkout)]
                subprocess.run(["git", "clone", "--quiet", "--branch", self.ref, *depth, *place], check=True)
            case "actions/setup-python":
                assert given["python-version"]
            case "actions/upload-artifact":
                folder = self.artefacts / given["name"]
                folder.mkdir(parents=True)
                # Of several files, GitHub keeps what comes after the folder that they share.
                for name in given["path"].split():
                    shutil.copy(self.checkout / name, folder)
            case "actions/download-artifact":
                assert self._value(given["run-id"])
                shutil.copytree(self.artefacts / given["name"], self.checkout / given["path"])
            case other:
                raise AssertionError(f"{other} is not known here")
        return 0


def without_ours() -> dict[str, str]:
    """This process's environment, without what is this test run's, or a checkout's."""
    ours = ("PULUMI_", "PYTEST", "GITHUB_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
