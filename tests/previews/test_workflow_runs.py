"""The workflows for pull requests, step by step, against a stand-in for GitHub's API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from previews.post import MARK
from tests.previews.github import COMMIT, REPOSITORY, TOKEN
from tests.previews.workflow import ROOT, Runner, without_ours

if TYPE_CHECKING:
    from pathlib import Path

    from previews.github import Repository
    from tests.previews.github import GitHub

pytestmark = pytest.mark.slow


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """The repository: this tree as `main`, and a branch for a pull request."""
    origin = tmp_path / "origin"
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, origin / name)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))
    git(origin, "add", "--all", "--force")
    git(origin, "commit", "--quiet", "-m", "main")
    git(origin, "checkout", "--quiet", "-b", "pull")
    return origin


def change(origin: Path, stack: str, before: str, after: str) -> None:
    """Push a commit to the pull request."""
    file = origin / "stacks" / f"Pulumi.{stack}.yaml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    git(origin, "commit", "--quiet", "--all", "-m", "a change")


def runner(origin: Path, ref: str, number: int, api: str = "") -> Runner:
    """A runner for the next run. `number`: of the run."""
    place = origin.parent
    context = {
        "github.base_ref": "main",
        "github.token": TOKEN,
        "github.event.workflow_run.id": str(number),
        "github.event.workflow_run.head_sha": COMMIT,
        "vars.DRIFT_STACKS": "",
        **{f"secrets.{name}": "" for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")},
        **{f"secrets.AWS_{name}": "" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")},
    }
    environment = without_ours() | {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": api}
    artefacts = place / f"artefacts-{number}"
    return Runner(origin, ref, place / f"{ref}-{number}", artefacts, context, environment)


def test_a_pull_request_gets_one_comment_that_follows_it_and_a_check_that_fails_when_it_should(
    origin: Path, github: GitHub, repository: Repository
) -> None:
    change(origin, "s3-local", "max_steps: 44", "max_steps: 50")
    preview = runner(origin, "pull", 1)
    assert preview.run("preview"), preview.ran
    assert runner(origin, "main", 1, repository.api).run("preview-comment")
    (first,) = [each["body"] for each in github.comments]
    assert first.startswith(MARK)
    assert "| `s3-local` | - | on the premises | ~2 \\* | - |" in first
    assert "`recipe.max_steps`: `44` → `50`" in first
    assert "| `s2-cloud-training` |" not in first, "the change does not concern it"

    change(origin, "s1-local-serving", "config:\n", "config:\n  aws:region: eu-central-1\n")
    preview = runner(origin, "pull", 2)
    assert not preview.run("preview")
    assert preview.ran[-1] == ("All stacks can be previewed and keep their rules", 1)
    assert runner(origin, "main", 2, repository.api).run("preview-comment")
    (second,) = [each["body"] for each in github.comments]
    assert "**would leave the premises**" in second
    assert "| `s3-local` |" in second


def test_the_other_workflows_of_pull_requests_and_stacks_run(origin: Path) -> None:
    event = origin.parent / "event.json"
    event.write_text(json.dumps({"action": "closed", "number": 12, "pull_request": {"labels": []}}))
    trial = runner(origin, "pull", 1)
    trial.environment |= {"GITHUB_EVENT_PATH": str(event), "TRY_FOLDER": str(origin.parent / "try")}
    trial.environment |= {"GITHUB_STEP_SUMMARY": os.devnull}
    assert trial.run("try"), trial.ran
    drift = runner(origin, "main", 2)
    assert drift.run("drift"), "no stack is to be looked at"
