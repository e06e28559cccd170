"""The comment on a pull request, against a local stand-in for GitHub's API: one, kept up to date, and harmless."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from previews import PreviewError
from previews.github import LIMIT, Repository, harmless
from previews.post import MARK, post
from tests.previews.github import BOT, COMMIT, PERSON, REPOSITORY, TOKEN, GitHub, pull

ROOT = Path(__file__).parents[2]


def test_there_is_one_comment_and_it_is_kept_up_to_date(repository: Repository, github: GitHub) -> None:
    assert post(repository, COMMIT, f"{MARK}\none") == "commented on #7"
    assert post(repository, COMMIT, f"{MARK}\none") == "#7 says so already"
    assert post(repository, COMMIT, f"{MARK}\ntwo") == "brought the comment on #7 up to date"
    assert [each["body"] for each in github.comments] == [f"{MARK}\ntwo"]


def test_it_is_found_behind_hundreds_of_others_and_a_persons_with_the_mark_is_left_alone(
    repository: Repository, github: GitHub
) -> None:
    github.comments = [{"id": 1, "user": PERSON, "body": f"{MARK}\nmine"}]
    github.comments += [{"id": number, "user": PERSON, "body": "words"} for number in range(2, 251)]
    github.comments.append({"id": 251, "user": BOT, "body": f"{MARK}\none"})
    post(repository, COMMIT, f"{MARK}\ntwo")
    assert github.comments[-1]["body"] == f"{MARK}\ntwo"
    assert github.comments[0]["body"] == f"{MARK}\nmine"
    assert len(github.comments) == 251


@pytest.mark.parametrize(
    "pulls",
    [
        [],
        [pull(7, state="closed")],
        [pull(7, head={"sha": "d" * 40})],
        [pull(7, base={"repo": {"full_name": "somebody/else"}})],
    ],
)
def test_only_the_open_pull_request_whose_newest_commit_it_is_gets_a_comment(
    repository: Repository, github: GitHub, pulls: list[dict[str, Any]]
) -> None:
    github.pulls = pulls
    assert "nothing to do" in post(repository, COMMIT, f"{MARK}\none")
    assert github.comments == []


def test_a_text_of_a_fork_calls_nobody_and_shows_nothing_from_elsewhere() -> None:
    text = harmless(f"{MARK}\n@everyone ![x](https://x) <IMG src=x> <!-- {MARK} --> <details>", MARK)
    assert "@everyone" not in text
    assert "![" not in text
    assert "<IMG" not in text
    assert text.count("<!--") == 1
    assert "<details>" in text
    assert len(harmless(MARK + "x" * 100_000, MARK)) == LIMIT
    with pytest.raises(PreviewError, match="the file is no preview"):
        harmless("anything", MARK)


def test_what_github_refuses_is_said_without_the_token(repository: Repository, github: GitHub) -> None:
    github.status = 403
    with pytest.raises(PreviewError, match=r"GitHub answers 403 to GET commits/.*`pull-requests`") as raised:
        post(repository, COMMIT, MARK)
    assert TOKEN not in str(raised.value)
    assert TOKEN not in repr(repository)
    away = Repository(name=REPOSITORY, token=TOKEN, api="http://127.0.0.1:9")
    with pytest.raises(PreviewError, match="GitHub does not answer"):
        post(away, COMMIT, MARK)


def test_as_a_workflow_runs_it_with_python_alone(
    repository: Repository, github: GitHub, tmp_path: Path
) -> None:
    (tmp_path / "comment.md").write_text(f"{MARK}\none")
    told = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN, "HEAD_SHA": COMMIT}
    command = [
        sys.executable,
        "-I",
        "-c",
        "import sys; sys.path.insert(0, '.'); from previews.post import main; main()",
    ]
    for environment, status, words in (
        (told | {"GITHUB_API_URL": repository.api}, 0, "commented on #7"),
        ({}, 1, "'GITHUB_REPOSITORY' is not set"),
    ):
        done = subprocess.run(
            [*command, tmp_path / "comment.md"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert words in done.stderr
    assert len(github.comments) == 1
