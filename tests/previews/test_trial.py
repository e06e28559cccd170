"""Stacks for pull requests: brought up, kept up to date, made anew where their file has changed, and removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from previews import PreviewError
from previews.git import git
from previews.trial import Trials, follow

ROOT = Path(__file__).parents[2]
MAKEFILE = """\
up:
	@echo "up $(STACK) $(SCENARIO) `cat program`" >> $(LOG)
	@touch stacks/Pulumi.$(STACK).yaml .state
	@test ! -e broken
	@echo "  answer    by `cat program`"
down:
	@echo "down $(STACK) `cat program`" >> $(LOG)
	@test ! -e stuck
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was made, a line each."""
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose Makefile only says what it is asked for."""
    root = tmp_path / "checkout"
    (root / "stacks").mkdir(parents=True)
    git(root, "init", "--quiet")
    commit(root, Makefile=MAKEFILE, program="one", **{"stacks/Pulumi.s3-local.yaml": "config: {a: 1}\n"})
    return root


@pytest.fixture
def trials(tmp_path: Path, root: Path, log: Path) -> Trials:
    assert not log.exists()
    return Trials(tmp_path / "try", root)


def commit(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / name).write_text(text)
    git(root, "add", "--all")
    git(root, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "one")


def event(action: str, *labels: str, number: int = 12) -> dict[str, Any]:
    return {
        "action": action,
        "number": number,
        "pull_request": {"labels": [{"name": each} for each in labels]},
    }


def test_another_commit_updates_the_stack_that_is_there(trials: Trials, root: Path, log: Path) -> None:
    assert trials.up(12) == "  answer    by one\n"
    commit(root, program="two")
    assert trials.up(12) == "  answer    by two\n"
    assert log.read_text().splitlines() == ["up pr-12 s3-local one", "up pr-12 s3-local two"]


def test_another_stack_file_makes_it_anew_by_the_program_that_made_it(
    trials: Trials, root: Path, log: Path
) -> None:
    trials.up(12)
    commit(root, program="two", **{"stacks/Pulumi.s3-local.yaml": "config: {a: 2}\n"})
    trials.up(12)
    assert log.read_text().splitlines() == [
        "up pr-12 s3-local one",
        "down pr-12 one",
        "up pr-12 s3-local two",
    ]


def test_what_closes_is_removed_and_a_second_time_nothing_happens(
    trials: Trials, tmp_path: Path, log: Path
) -> None:
    trials.up(12)
    trials.up(13)
    assert trials.down(12)
    assert not trials.down(12)
    assert {each.name for each in (tmp_path / "try").glob("*/")} == {"13"}
    assert log.read_text().splitlines()[2:] == ["down pr-12 one"]


def test_a_stack_that_cannot_be_removed_stays_and_says_where(
    trials: Trials, root: Path, tmp_path: Path
) -> None:
    trials.up(12)
    commit(root, stuck="")
    trials.up(12)
    with pytest.raises(PreviewError, match=r"`make down STACK=pr-12` failed.*try/12 down"):
        trials.down(12)
    assert (tmp_path / "try" / "12" / "program").exists()


def test_one_that_fails_is_taken_up_again_by_the_next_commit_or_removed(
    trials: Trials, root: Path, log: Path
) -> None:
    commit(root, broken="")
    with pytest.raises(
        PreviewError, match="`make up STACK=pr-12 SCENARIO=s3-local` failed; push a correction"
    ):
        trials.up(12)
    assert trials.down(12)
    assert log.read_text().splitlines()[-1] == "down pr-12 one"


def test_the_checkout_may_be_as_shallow_as_a_workflows(trials: Trials, root: Path, tmp_path: Path) -> None:
    commit(root, program="two")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", root.as_uri(), shallow], check=True)
    assert Trials(tmp_path / "try", shallow).up(12) == "  answer    by two\n"
    assert trials.up(12) == "  answer    by two\n"


def test_events_of_a_pull_request_bring_its_stack_up_and_remove_it(trials: Trials, log: Path) -> None:
    assert "not there" in follow(trials, event("synchronize"), on_a_runner=False)
    assert not log.exists()
    told = follow(trials, event("labeled", "try", "other"), on_a_runner=False)
    assert told == "`pr-12` came up:\n\n```\nanswer    by one\n```"
    assert follow(trials, event("unlabeled", "other"), on_a_runner=False) == "`pr-12` is removed"
    follow(trials, event("reopened", "try"), on_a_runner=False)
    assert follow(trials, event("closed", "try"), on_a_runner=False) == "`pr-12` is removed"


def test_on_a_runner_that_goes_it_goes_too(trials: Trials, tmp_path: Path) -> None:
    told = follow(trials, event("labeled", "try"), on_a_runner=True)
    assert "answered, and is removed with its runner" in told
    assert list((tmp_path / "try").glob("*/")) == []


def test_what_closed_unseen_goes_after_two_weeks(trials: Trials, tmp_path: Path) -> None:
    trials.up(12)
    trials.up(13)
    long_ago = time.time() - 15 * 86_400
    os.utime(tmp_path / "try" / "12", (long_ago, long_ago))
    follow(trials, event("synchronize", "try", number=14), on_a_runner=False)
    assert {each.name for each in (tmp_path / "try").glob("*/")} == {"13", "14"}


def test_an_old_one_that_cannot_be_removed_stops_no_other(trials: Trials, root: Path, tmp_path: Path) -> None:
    trials.up(12)
    commit(root, stuck="")
    trials.up(12)
    long_ago = time.time() - 15 * 86_400
    os.utime(tmp_path / "try" / "12", (long_ago, long_ago))
    assert "came up" in follow(trials, event("synchronize", "try", number=14), on_a_runner=False)
    assert (tmp_path / "try" / "12").exists()


def test_an_event_of_something_else_is_refused(trials: Trials) -> None:
    with pytest.raises(PreviewError, match="not of a pull request"):
        follow(trials, {"action": "created", "issue": {}}, on_a_runner=False)


def run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "previews.trial", *arguments],
        cwd=ROOT,
        env=os.environ | {"TRY_FOLDER": str(tmp_path / "try"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_workflows_step_writes_its_summary(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text(json.dumps(event("closed", "try")))
    summary = tmp_path / "summary"
    variables = {"GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_STEP_SUMMARY": str(summary)}
    done = run(tmp_path, **variables)
    assert (done.returncode, summary.read_text()) == (0, "`pr-12` is not there\n")


@pytest.mark.parametrize("arguments", [(), ("up",), ("up", ""), ("down", "../12"), ("away", "12")])
def test_without_a_number_it_says_how_to_call_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments, GITHUB_EVENT_PATH="")
    assert done.returncode == 1
    assert done.stderr == (
        "previews.trial: name a pull request by its number: make try PULL=12, make untry PULL=12\n"
    )
