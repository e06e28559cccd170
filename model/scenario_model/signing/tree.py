"""A directory tree for signing: its files, their types and hashes.

All access is through directory descriptors and never follows symlinks, so that a concurrently changed path
cannot redirect the reader. Only file names, types, sizes and hashes are examined: nothing is parsed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGNATURE = "release.sig"

# File types allowed in a release. An allowlist: code, pickles and archives stay out whatever their names in
# the future.
_ALLOWED_SUFFIXES = (".json", ".safetensors", ".jinja", ".txt", ".md", ".model")
_ALLOWED_NAMES = ("LICENSE", "NOTICE", SIGNATURE)
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
_PICKLE_OR_ZIP = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_MAX_ENTRIES = 10_000
_MAX_DEPTH = 8

_KINDS = (
    (stat.S_ISLNK, "a symlink"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISDIR, "a directory"),
)


@dataclass(frozen=True, slots=True)
class FileState:
    """A file's identity, to detect changes without reading it: only the kernel sets `changed_ns`."""

    device: int
    inode: int
    size: int
    changed_ns: int


def check_file_name(name: str) -> None:
    """Refuse a relative POSIX path that escapes, is hidden, or has a file type that is not allowed."""
    segments = name.split("/")
    if name.startswith("/") or ".." in segments or "\\" in name:
        raise Refused("the path leads out of the release", where=_shown(name))
    if len(segments) > _MAX_DEPTH or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise Refused("a hidden file or a file name that releases do not use", where=_shown(name))
    if not name.endswith(_ALLOWED_SUFFIXES) and segments[-1] not in _ALLOWED_NAMES:
        raise Refused(
            f"not an allowed file type (allowed: {' '.join(_ALLOWED_SUFFIXES)}); no pickle, code or archive",
            where=_shown(name),
        )


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """A descriptor of `directory`, which must be a directory and not a symlink. Raises Refused."""
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"cannot open the release directory: {error.strerror}", where=str(directory)) from None
    try:
        yield root
    finally:
        os.close(root)


def inspect(root: int) -> dict[str, FileState]:
    """Every file below the directory descriptor `root`, by relative POSIX path.

    Raises Refused, naming file and kind: a symlink, pipe, socket, device, a file with a second hard link, an
    empty directory, a hidden name, a type that is not allowed, a directory that cannot be read.
    """
    found: dict[str, FileState] = {}
    try:
        _inspect_into(root, "", found)
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}", where=_shown(str(error.filename))) from None
    return found


def _inspect_into(directory: int, prefix: str, found: dict[str, FileState]) -> None:
    names = sorted(os.listdir(directory))
    if prefix and not names:
        raise Refused("an empty directory, which was not signed", where=_shown(prefix))
    for name in names:
        path = prefix + name
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and path.count("/") < _MAX_DEPTH:
            inner = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory
            )
            try:
                _inspect_into(inner, path + "/", found)
            finally:
                os.close(inner)
            continue
        check_regular(path, status)
        check_file_name(path)
        found[path] = file_state(status)
        if len(found) > _MAX_ENTRIES:
            raise Refused(f"more than {_MAX_ENTRIES} files", where=prefix or ".")


def check_regular(path: str, status: os.stat_result) -> None:
    """Refuse anything but a regular file with a single link: through a second one it could be changed unnoticed."""
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise Refused(f"is {kind}, not the file itself", where=_shown(path))
    if not stat.S_ISREG(status.st_mode):
        raise Refused("is a special file, not the file itself", where=_shown(path))
    if status.st_nlink != 1:
        raise Refused("has another hard link elsewhere", where=_shown(path))


def file_state(status: os.stat_result) -> FileState:
    """The identity of a file at this moment."""
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)


def read_small(root: int, name: str, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises Refused for a longer or a special file."""
    with _opened_file(root, name) as descriptor:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise Refused(f"has {size} bytes, more than the {limit} allowed", where=name)
        with os.fdopen(os.dup(descriptor), "rb") as stream:
            return stream.read(limit)


def hash_files(root: int, files: dict[str, FileState]) -> dict[str, str]:
    """SHA-256 (64 hex digits) of each file, read once, several at a time.

    Raises Refused if a file has changed since `inspect`, or is a pickle or archive by its first bytes.
    """
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        digests = pool.map(lambda item: _hash_file(root, *item), files.items())
        return dict(zip(files, digests, strict=True))


def _hash_file(root: int, name: str, seen: FileState) -> str:
    with _opened_file(root, name) as descriptor, os.fdopen(os.dup(descriptor), "rb") as stream:
        head = stream.read(9)
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if file_state(os.fstat(descriptor)) != seen:
            raise Refused("changed while it was being verified", where=name)
    if name.endswith(".safetensors"):
        # <https://github.com/huggingface/safetensors#format>: eight bytes of header length, then a JSON
        # object.
        if head[8:] != b"{":
            raise Refused("is not a safetensors file", where=name)
    elif head.startswith(_PICKLE_OR_ZIP):
        raise Refused("is a pickle or an archive, whatever its name says", where=name)
    return digest


@contextmanager
def _opened_file(root: int, name: str) -> Iterator[int]:
    # Each directory on the path is opened without following symlinks; O_NONBLOCK so that a planted pipe
    # cannot block us.
    descriptors = [root]
    try:
        for segment in name.split("/")[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptors.append(os.open(segment, flags, dir_fd=descriptors[-1]))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptors.append(os.open(name.rpartition("/")[2], flags, dir_fd=descriptors[-1]))
        check_regular(name, os.fstat(descriptors[-1]))
        yield descriptors[-1]
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}", where=_shown(name)) from None
    finally:
        for descriptor in descriptors[1:]:
            os.close(descriptor)


def _shown(name: str) -> str:
    """A file name sanitised for a message: one line, no control characters, bounded length."""
    return name if name.isprintable() and len(name) <= 200 else ascii(name[:200])
