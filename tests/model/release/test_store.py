"""A store in a folder: create-if-absent, whole trees, and nothing half-visible after a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import InputError, Refused
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

# Ends the process, as kill -9 would, right before the system call of the given number that changes the disk.
KILLED_WRITER = """
import os, sys
from pathlib import Path
from scenario_model.release.store import FolderStore

left = int(sys.argv[1])

def deadly(name):
    call = getattr(os, name)
    def wrapped(*args, **kwargs):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return call(*args, **kwargs)
    setattr(os, name, wrapped)

for name in ("fsync", "rename", "link", "mkdir", "unlink", "chmod"):
    deadly(name)
store = FolderStore(Path(sys.argv[2]))
if sys.argv[3] == "object":
    store.create("channels/a/stable/00000001.json", b"whole content")
else:
    store.upload(sys.argv[4], Path(sys.argv[5]))
"""


def test_an_object_is_created_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    assert store.read("channels/a/stable/1.json") is None
    assert store.create("channels/a/stable/1.json", b"first")
    assert not store.create("channels/a/stable/1.json", b"second")
    assert store.read("channels/a/stable/1.json") == b"first"


def test_of_many_creators_at_once_exactly_one_wins(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    won = []

    def create(number: int) -> None:
        if store.create("channels/a/stable/1.json", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("channels/a/stable/1.json") == b"%d" % won[0]


def test_children_are_sorted_and_leave_out_what_writers_left_behind(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert store.children("channels/a") == []
    for key in ("channels/a/2.json", "channels/a/1.json", "channels/a/b/c.json"):
        store.create(key, b"")
    (tmp_path / "channels/a/.1.json.swp").touch()
    assert store.children("channels/a") == ["1.json", "2.json", "b"]


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".incoming/x", "a/.hidden", "a\nb"]
)
def test_a_key_that_leads_elsewhere_is_refused(key: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for act in (store.read, store.children, lambda key: store.create(key, b"")):
        with pytest.raises(InputError, match="is no key of a store"):
            act(key)


def test_a_symlink_or_an_endless_object_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link.json").symlink_to(tmp_path / "secret")
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate(5 * 2**20)
    store = FolderStore(tmp_path)
    with pytest.raises(Refused, match=r"link.json: cannot be read"):
        store.read("link.json")
    with pytest.raises(Refused, match=r"large.json: is larger than"):
        store.read("large.json")


def test_a_release_is_kept_whole_read_only_and_once(
    pristine_release: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    directory, name = pristine_release
    store = FolderStore(tmp_path / "store")
    assert store.upload(name, directory)
    assert not store.upload(name, directory)
    kept = store.fetch(name)
    assert verify_release(kept, key_pair.public, expect=name).id == name
    assert kept == tmp_path / "store" / "releases" / "assistant" / name.partition("@")[2].replace(":", "-")
    assert not any(path.stat().st_mode & 0o222 for path in kept.rglob("*") if path.is_file())


def test_a_release_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no release"):
        FolderStore(tmp_path).fetch(f"assistant@sha256:{'0' * 64}")
    with pytest.raises(InputError, match="names no release"):
        FolderStore(tmp_path).fetch("assistant@sha256:../../etc")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["object", "tree"])
def test_a_writer_killed_anywhere_leaves_nothing_half_visible(
    what: str, pristine_release: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    directory, name = pristine_release
    deaths = 0
    while True:
        root = tmp_path / str(deaths)
        ended = subprocess.run(
            [sys.executable, "-c", KILLED_WRITER, str(deaths), root, what, name, directory], check=False
        )
        store = FolderStore(root)
        if what == "object":
            assert store.read("channels/a/stable/00000001.json") in (None, b"whole content")
            store.create("channels/a/stable/00000001.json", b"whole content")
            assert store.read("channels/a/stable/00000001.json") == b"whole content"
        else:
            if store.children("releases/assistant"):
                verify_release(store.fetch(name), key_pair.public, expect=name)
            store.upload(name, directory)
            verify_release(store.fetch(name), key_pair.public, expect=name)
        store.create("channels/next/stable/00000001.json", b"")
        assert list((root / ".incoming").iterdir()) == []
        if ended.returncode == 0:
            break
        assert ended.returncode == 9
        deaths += 1
        shutil.rmtree(root)
    assert deaths >= 8


def test_a_store_that_cannot_be_written_says_so(
    make_release: Callable[..., tuple[Path, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to the store: Not a directory"):
        FolderStore(tmp_path / "file" / "store").create("a.json", b"")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(InputError, match="cannot write to the store: Permission denied"):
            FolderStore(tmp_path / "locked" / "store").create("a.json", b"")
