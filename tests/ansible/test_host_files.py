"""host_files brings files, folders and links in one call, whole or not at all."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


class RefusedError(Exception):
    """What the module would have failed with."""


@dataclass
class Asked:
    """What Ansible hands to a module."""

    params: dict[str, Any]
    check_mode: bool = False
    said: list[str] = field(default_factory=list)

    def fail_json(self, msg: str) -> None:
        raise RefusedError(msg)

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def bring(module: Callable[[str], ModuleType], tmp_path: Path) -> Callable[..., Any]:
    """Brings entries below the test's folder; returns what changed and the diffs."""

    def run(*entries: dict[str, Any], check: bool = False, validate: str | None = None) -> Any:
        loaded = module("host_files")
        nothing = dict.fromkeys(("content", "target", "mode", "owner", "group"))
        asked = Asked({"base": str(tmp_path), "validate": validate}, check_mode=check)
        files = loaded.HostFiles(asked)
        for entry in entries:
            files.bring({**nothing, "state": "file", "keep": False, "validated": True, **entry})
        return files

    return run


FOLDER = {"path": "f", "state": "directory", "mode": "0700"}
FILE = {"path": "f/a", "content": "one\n", "mode": "0600"}
LINK = {"path": "now", "state": "link", "target": "f"}


def test_what_was_brought_is_brought_again_without_a_change(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    assert len(bring(FOLDER, FILE, LINK).paths) == 3
    assert (tmp_path / "now" / "a").read_text() == "one\n"
    again = bring(FOLDER, FILE, LINK)
    assert (again.paths, again.diffs) == ([], [])


def test_a_check_foretells_what_a_run_changes_and_changes_nothing(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    entries = (FOLDER, FILE, LINK)
    foretold = bring(*entries, check=True)
    assert not list(tmp_path.iterdir())
    done = bring(*entries)
    assert (foretold.paths, foretold.diffs) == (done.paths, done.diffs)


@pytest.mark.parametrize(
    "edit",
    [
        lambda root: (root / "f" / "a").write_text("two\n"),
        lambda root: (root / "f" / "a").unlink(),
        lambda root: (root / "f" / "a").chmod(0o644),
        lambda root: (root / "f").chmod(0o755),
        lambda root: ((root / "now").unlink(), (root / "now").symlink_to("elsewhere")),
        lambda root: ((root / "f" / "a").rename(root / "b"), (root / "f" / "a").symlink_to("../b")),
    ],
    ids=["content", "gone", "mode", "mode of a folder", "link", "link in place of a file"],
)
def test_a_hand_edit_is_foretold_named_and_mended(
    bring: Callable[..., Any], tmp_path: Path, edit: Callable[[Path], object]
) -> None:
    entries = (FOLDER, FILE, LINK)
    bring(*entries)
    edit(tmp_path)
    foretold = bring(*entries, check=True)
    assert len(foretold.paths) == 1
    assert [diff["after_header"] for diff in foretold.diffs] == foretold.paths
    assert bring(*entries).paths == foretold.paths
    assert bring(*entries).paths == []
    assert (tmp_path / "f" / "a").read_text() == "one\n"


def test_a_draft_that_is_refused_leaves_what_is_there_and_nothing_beside_it(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    bring(FOLDER, FILE)
    with pytest.raises(RefusedError, match="f/a would be invalid: no good"):
        bring({**FILE, "content": "two\n"}, validate="sh -c 'echo no good; exit 1' %s")
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["a"]
    assert (tmp_path / "f" / "a").read_text() == "one\n"
    bring({**FILE, "content": "two\n"}, validate="grep -q two %s")
    other = {**FILE, "path": "f/b", "validated": False}
    bring(other, {**FILE, "content": "two and two\n"}, validate="grep -q two %s")
    assert (tmp_path / "f" / "a").read_text() == "two and two\n"


def test_a_new_file_is_never_readable_to_more_than_it_shall_be(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    # The validation sees the draft beside the file, before it has its name.
    bring(FOLDER)
    before = os.umask(0)
    try:
        bring(FILE, validate="sh -c 'test $(stat -c %a $0) = 600' %s")
    finally:
        os.umask(before)
    assert (tmp_path / "f" / "a").stat().st_mode & 0o777 == 0o600


def test_a_draft_of_a_killed_run_is_no_obstacle_and_no_way_to_another_file(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    bring(FOLDER)
    (tmp_path / "other").write_text("untouched")
    (tmp_path / "f" / ".a.draft").symlink_to("../other")
    bring(FILE)
    assert (tmp_path / "other").read_text() == "untouched"
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["a"]


@pytest.mark.parametrize(
    ("there", "entry", "says"),
    [
        ("folder", {"path": "x", "content": ""}, "x is a folder, but a file is required"),
        ("file", {"path": "x", "state": "directory"}, "x exists and is not a folder"),
        ("file", {"path": "x", "state": "link", "target": "y"}, "x exists and is not a link"),
        ("file", {"path": "x/y", "content": ""}, "cannot write .*x/y: Not a directory"),
        (
            "file",
            {"path": "x", "content": "", "group": "nobodys-group"},
            "group nobodys-group does not exist",
        ),
    ],
)
def test_what_is_in_the_way_is_named(
    bring: Callable[..., Any], tmp_path: Path, there: str, entry: dict[str, Any], says: str
) -> None:
    (tmp_path / "x").mkdir() if there == "folder" else (tmp_path / "x").touch()
    with pytest.raises(RefusedError, match=says):
        bring(entry)


def test_what_is_kept_is_left_as_it_is_and_what_is_absent_goes(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("mine")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "z").touch()
    assert bring({"path": "x", "content": "ours", "keep": True}).paths == []
    assert bring({"path": "y", "state": "absent"}).paths == [str(tmp_path / "y")]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_link_in_place_of_a_file_is_replaced_and_what_it_leads_to_neither_shown_nor_changed(
    bring: Callable[..., Any], tmp_path: Path
) -> None:
    bring(FOLDER)
    other = tmp_path / "shadow"
    other.write_text("root:secret\n")
    other.chmod(0o640)
    (tmp_path / "f" / "a").symlink_to("../shadow")
    done = bring(FILE)
    assert "secret" not in str(done.diffs)
    assert (other.read_text(), other.stat().st_mode & 0o777) == ("root:secret\n", 0o640)
    assert not (tmp_path / "f" / "a").is_symlink()
    assert (tmp_path / "f" / "a").read_text() == "one\n"


def test_a_folder_may_be_a_link_to_one_on_another_disk(bring: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "f").symlink_to("elsewhere")
    assert bring(FOLDER, FILE).paths == [str(tmp_path / "f"), str(tmp_path / "f" / "a")]
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "elsewhere" / "a").read_text() == "one\n"
