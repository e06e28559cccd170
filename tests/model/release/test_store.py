"""A store, in a folder or in a bucket: create-if-absent, whole trees; a kill leaves nothing half-visible in a
folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Protocol

import pytest

from scenario_model.errors import InputError, Refused
from scenario_model.release.store import FolderStore, Store
from scenario_model.release.stores import open_store
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


class Open(Protocol):
    """Opens the test's one store again, as another process does; `below` is for what others put there."""

    def __call__(self) -> Store: ...

    def put(self, key: str, content: bytes) -> None: ...


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self) -> Store:
        return open_store(str(self.root))

    def put(self, key: str, content: bytes) -> None:
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(content)


class InBucket:
    def __init__(self, uri: str, put: Callable[[str, bytes], None], caches: Path) -> None:
        self.uri, self.put, self._caches, self._opened = uri, put, caches, 0

    def __call__(self) -> Store:
        self._opened += 1
        return open_store(self.uri, self._caches / str(self._opened))


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "folder":
        return Folder(tmp_path / "store")
    value = request.getfixturevalue
    return InBucket(value("bucket_uri"), value("put"), tmp_path / "caches")


def test_an_object_is_created_once(opened: Open) -> None:
    store = opened()
    assert store.read("channels/a/stable/1.json") is None
    assert store.create("channels/a/stable/1.json", b"first")
    assert not store.create("channels/a/stable/1.json", b"second")
    assert not store.create("channels/a/stable/1.json", b"first")
    assert opened().read("channels/a/stable/1.json") == b"first"


def test_of_many_creators_at_once_exactly_one_wins(opened: Open) -> None:
    store = opened()
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


def test_children_are_sorted_and_leave_out_what_writers_left_behind(opened: Open) -> None:
    store = opened()
    assert store.children("channels/a") == []
    for key in ("channels/a/2.json", "channels/a/1.json", "channels/a/b/c.json"):
        store.create(key, b"")
    opened.put("channels/a/.1.json.swp", b"")
    assert store.children("channels/a") == ["1.json", "2.json", "b"]
    assert store.children("channels") == ["a"]


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".incoming/x", "a/.hidden", "a\nb"]
)
def test_a_key_that_leads_elsewhere_is_refused(key: str, opened: Open) -> None:
    store = opened()
    for act in (store.read, store.children, lambda key: store.create(key, b"")):
        with pytest.raises(InputError, match="is not a valid store key"):
            act(key)


def test_an_endless_object_is_not_read(opened: Open) -> None:
    opened.put("large.json", bytes(5 * 2**20))
    with pytest.raises(Refused, match=r"large.json: is larger than 4194304 bytes"):
        opened().read("large.json")


def test_a_symlink_in_a_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link.json").symlink_to(tmp_path / "secret")
    store = FolderStore(tmp_path)
    with pytest.raises(Refused, match=r"link.json: cannot be read"):
        store.read("link.json")


def test_a_release_is_kept_whole_read_only_and_once(
    pristine_release: tuple[Path, str], key_pair: KeyPair, opened: Open
) -> None:
    directory, name = pristine_release
    assert opened().upload(name, directory)
    assert not opened().upload(name, directory)
    kept = opened().fetch(name)
    assert verify_release(kept, key_pair.public, expect=name).id == name
    below = ("releases", "assistant", name.partition("@")[2].replace(":", "-"))
    assert kept.parts[-3:] == below
    assert opened().children("/".join(below[:2])) == [below[2]]
    assert opened().read("/".join([*below, "config.json"])) == (directory / "config.json").read_bytes()
    assert not any(path.stat().st_mode & 0o222 for path in kept.rglob("*") if path.is_file())


def test_a_release_that_is_not_there_is_bad_input(opened: Open) -> None:
    with pytest.raises(InputError, match="does not contain release"):
        opened().fetch(f"assistant@sha256:{'0' * 64}")
    with pytest.raises(InputError, match="is not a release"):
        opened().fetch("assistant@sha256:../../etc")


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
