"""Digests name content, and only content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from scenario_model.digests import json_digest, package_digest, tree_digest
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a").write_text("1")
    (tmp_path / "tree" / "sub" / "b").write_text("2")
    return tmp_path / "tree"


def test_the_order_of_keys_does_not_count() -> None:
    assert json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})


def test_times_and_modes_do_not_count(tree: Path) -> None:
    before = tree_digest(tree)
    os.utime(tree / "a", (1, 1))
    (tree / "a").chmod(0o600)
    assert tree_digest(tree) == before


def test_every_change_of_content_counts(tree: Path) -> None:
    seen = {tree_digest(tree)}
    (tree / "a").write_text("3")
    seen.add(tree_digest(tree))
    (tree / "a").rename(tree / "c")
    seen.add(tree_digest(tree))
    (tree / "sub" / "b").rename(tree / "b")
    seen.add(tree_digest(tree))
    (tree / "b").unlink()
    seen.add(tree_digest(tree))
    assert len(seen) == 5


def test_what_is_left_out_does_not_count(tree: Path) -> None:
    before = tree_digest(tree)
    (tree / "note").write_text("x")
    assert tree_digest(tree, leave_out=frozenset({"note"})) == before


def test_a_symlink_has_no_digest(tree: Path) -> None:
    (tree / "link").symlink_to("a")
    with pytest.raises(InputError, match="symlink"):
        tree_digest(tree)


def test_a_directory_that_is_not_there_has_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        tree_digest(tmp_path / "none")


def test_rooms_of_the_package_have_digests_of_their_own() -> None:
    assert len({package_digest(), package_digest("data"), package_digest("train")}) == 3
