"""Stores of releases and channels: the interface, and a store in a folder (`s3_store`: in a bucket).

The interface is the minimum that an object store with conditional writes supports too: an object is created
if absent and never changed; a release is a tree that appears atomically.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from scenario_model.atomic_io import publish, sync
from scenario_model.errors import InputError, Refused
from scenario_model.release.names import ReleaseId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
MAX_OBJECT_BYTES = 4 * 1024 * 1024
_ASIDE = ".incoming"


class Store(Protocol):
    """The store interface used by `channel`, `listing` and the server. Keys are relative POSIX paths."""

    def read(self, key: str) -> bytes | None:
        """The object's content, or None if there is no such object."""

    def create(self, key: str, content: bytes) -> bool:
        """Create the object if it is absent, else do nothing and return False (compare-and-swap)."""

    def swap(self, key: str, content: bytes, expected: bytes | None) -> bool:
        """Replace the object's content if it is `expected` (None: no such object), else return False.

        For the one object of a catalogue that has to change; all others are created once.
        """

    def children(self, prefix: str) -> list[str]:
        """The sorted last segments of the keys directly below `prefix`; empty if there are none."""

    def keys(self, prefix: str) -> list[str]:
        """All keys below `prefix`, relative to it, in any order."""

    def upload(self, release: str, directory: Path) -> bool:
        """Store `directory` as `name@sha256:…`; does nothing and returns False if that release exists."""

    def fetch(self, release: str) -> Path:
        """A local directory with the release, not yet verified. Raises InputError if it does not exist."""


def is_key(text: str) -> bool:
    """Whether `text` is a valid object key, or a segment of one."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> str:
    """Return `key` if it is a valid object key that stays inside the store. Raises InputError."""
    if not is_key(key):
        raise InputError(f"{key[:120]!r} is not a valid store key")
    return key


class FolderStore:
    """A store in a local folder. A killed process leaves nothing partially visible.

    Everything is written under `.incoming`, fsynced, and then linked (objects) or renamed (trees) to its
    name. Writers hold one lock, so anything else in `.incoming` is a dead writer's and is removed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes | None:
        """See `Store`. Raises Refused for an object that is too large or not a regular file."""
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}", where=key) from None
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(MAX_OBJECT_BYTES + 1)
        if len(content) > MAX_OBJECT_BYTES:
            raise Refused(f"is larger than {MAX_OBJECT_BYTES} bytes", where=key)
        return content

    def create(self, key: str, content: bytes) -> bool:
        """See `Store`."""
        path = self._path(key)
        with self._aside() as aside:
            draft = aside / "object"
            _write(draft, content)
            _make_directories(path.parent)
            try:
                os.link(draft, path)
            except FileExistsError:
                return False
            draft.unlink()
            sync(path.parent)
        return True

    def swap(self, key: str, content: bytes, expected: bytes | None) -> bool:
        """See `Store`. The writers' lock is held meanwhile."""
        path = self._path(key)
        with self._aside() as aside:
            if self.read(key) != expected:
                return False
            draft = aside / "object"
            _write(draft, content)
            _make_directories(path.parent)
            draft.replace(path)
            sync(path.parent)
        return True

    def children(self, prefix: str) -> list[str]:
        """See `Store`."""
        try:
            names = [path.name for path in self._path(prefix).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if is_key(name))

    def keys(self, prefix: str) -> list[str]:
        """See `Store`."""
        return keys_below(self.root / check_key(prefix))

    def upload(self, release: str, directory: Path) -> bool:
        """See `Store`. Files become read-only."""
        path = self._path(ReleaseId.parse(release).key)
        if path.is_dir():
            return False
        with self._aside() as aside:
            draft = aside / "tree"
            _copy_tree(directory, draft)
            _make_directories(path.parent)
            try:
                publish(draft, path)
            except OSError:
                # A non-empty directory is never replaced: another writer stored the same release.
                if path.is_dir():
                    return False
                raise
        return True

    def fetch(self, release: str) -> Path:
        """See `Store`."""
        path = self._path(ReleaseId.parse(release).key)
        if not path.is_dir():
            raise InputError(
                f"does not contain release {release}",
                where=str(self.root),
                remedy="`scenario-model release list` shows its releases",
            )
        return path

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A private folder to write in, on the same file system, holding the writers' lock."""
        incoming = self.root / _ASIDE
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise InputError(f"cannot write to the store: {error.strerror}", where=str(self.root)) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in incoming.iterdir():
                shutil.rmtree(leftover)
            mine = incoming / secrets.token_hex(8)
            mine.mkdir()
            try:
                yield mine
            finally:
                shutil.rmtree(mine)
        except OSError as error:
            raise InputError(f"cannot write to the store: {error.strerror}", where=str(self.root)) from error
        finally:
            os.close(lock)


def keys_below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it; none if there is no such folder."""
    found = []
    for top, _, names in os.walk(folder):
        below = os.path.relpath(top, folder)
        found += [f"{below}/{name}" if below != "." else name for name in names]
    return found


def _copy_tree(source: Path, target: Path) -> None:
    target.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            _copy_tree(entry, target / entry.name)
        else:
            shutil.copyfile(entry, target / entry.name, follow_symlinks=False)
            (target / entry.name).chmod(0o444)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(0o444)


def _make_directories(path: Path) -> None:
    """Create `path` and make each new parent's name durable."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync(directory.parent)
