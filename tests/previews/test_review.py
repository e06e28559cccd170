"""A review holds for one commit, one file of settings and one state; anything else is refused by name."""

from __future__ import annotations

import copy
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from previews import PreviewError
from previews.review import check, review_of

if TYPE_CHECKING:
    from pathlib import Path

STATE: dict[str, Any] = {
    "manifest": {"time": "now"},
    "resources": [
        {
            "urn": "a",
            "inputs": {
                "name": "one",
                "key": {
                    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
                    "ciphertext": "v1:one",
                },
            },
        }
    ],
}


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", root, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.plant.yaml").write_text("config:\n  a:b: 1\n")
    (tmp_path / "program.py").write_text("one")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    return tmp_path


@pytest.fixture
def review(root: Path) -> dict[str, Any]:
    return review_of(root, ["plant"], {"plant": STATE})


def test_what_was_reviewed_may_be_applied(root: Path, review: dict[str, Any]) -> None:
    check(review, root, "plant", STATE)


def test_secrets_that_are_encrypted_anew_and_a_salt_are_no_change(root: Path, review: dict[str, Any]) -> None:
    again: dict[str, Any] = copy.deepcopy(STATE)
    again["resources"][0]["inputs"]["key"]["ciphertext"] = "v1:two"
    again["manifest"]["time"] = "later"
    check(review, root, "plant", again)


def test_a_state_that_has_moved_is_refused(root: Path, review: dict[str, Any]) -> None:
    moved: dict[str, Any] = copy.deepcopy(STATE)
    moved["resources"][0]["inputs"]["name"] = "two"
    for state in (moved, {}):
        with pytest.raises(
            PreviewError, match="plant was changed since the review, or the review did not know"
        ):
            check(review, root, "plant", state)


def test_another_commit_is_refused(root: Path, review: dict[str, Any]) -> None:
    git(root, "commit", "--allow-empty", "-m", "two")
    with pytest.raises(PreviewError, match="was reviewed, and this is"):
        check(review, root, "plant", STATE)


def test_files_that_differ_from_their_commit_are_refused(root: Path, review: dict[str, Any]) -> None:
    (root / "program.py").write_text("two")
    with pytest.raises(PreviewError, match="files differ from their commit"):
        check(review, root, "plant", STATE)
    dirty = review_of(root, ["plant"], {"plant": STATE})
    with pytest.raises(PreviewError, match="files differ from their commit"):
        check(dirty, root, "plant", STATE)


def test_other_settings_are_refused_and_the_salt_that_pulumi_writes_is_not(
    root: Path, review: dict[str, Any]
) -> None:
    file = root / "stacks" / "Pulumi.plant.yaml"
    file.write_text("encryptionsalt: v1:x\nconfig:\n  a:b: 1\n")
    check(review, root, "plant", STATE)
    file.write_text("config:\n  a:b: 2\n")
    with pytest.raises(PreviewError, match=r"Pulumi\.plant\.yaml is not as it was reviewed"):
        check(review, root, "plant", STATE)


def test_a_stack_that_was_not_reviewed_and_a_file_that_is_none_are_named(
    root: Path, review: dict[str, Any]
) -> None:
    with pytest.raises(PreviewError, match="other was not reviewed"):
        check(review, root, "other", {})
    wrong: Any
    for wrong in ({}, [], {"stacks": []}):
        with pytest.raises(PreviewError, match="the file is no review"):
            check(wrong, root, "plant", {})
