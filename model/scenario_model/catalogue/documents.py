"""What a catalogue says: which files a release has, and which release a ring or a site shall have. Pure.

Both are small JSON files, TUF's targets: their own length and digest are in signed metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.digests import json_digest
from scenario_model.errors import Refused
from scenario_model.release.names import ReleaseId, check_name, is_id
from scenario_model.signing.tree import SIGNATURE, check_file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMAT = 1
_MAX_FILES = 10_000
# A terabyte for one file: a bound on what a site may be made to receive.
_MAX_BYTES = 2**40
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class File:
    """One file of a release: its size in bytes and its SHA-256, 64 hex digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseIndex:
    """A release's files, by relative POSIX path. `number` counts a name's releases upwards, in the order of signing."""

    release: str
    number: int
    files: Mapping[str, File]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files.values())

    def encoded(self) -> bytes:
        """The document."""
        files = {path: asdict(file) for path, file in self.files.items()}
        return _encoded({"release": self.release, "number": self.number, "files": files})

    @classmethod
    def decoded(cls, content: bytes) -> ReleaseIndex:
        """Read a document whose signature was checked.

        Raises Refused if it is not one, names a file that no release may have, or does not match its release's digest.
        """
        read = _decoded(content, {"release": str, "number": int, "files": dict}, "the index of a release")
        files = {path: _file(path, told) for path, told in read["files"].items()}
        index = cls(read["release"], read["number"], files)
        if not is_id(index.release) or index.number < 1 or not 0 < len(files) <= _MAX_FILES:
            raise Refused("is not the index of a release", where=index.release[:200])
        digests = {path: f"sha256:{file.sha256}" for path, file in files.items() if path != SIGNATURE}
        if SIGNATURE not in files or json_digest(digests) != ReleaseId.parse(index.release).digest:
            raise Refused("its files are not those of the release that it names", where=index.release)
        return index


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a ring, or one site, shall serve. Nothing with a number below `floor` may be taken, whoever asks for it."""

    name: str
    release: str
    floor: int

    def encoded(self) -> bytes:
        """The document."""
        return _encoded(asdict(self))

    @classmethod
    def decoded(cls, content: bytes, name: str) -> Assignment:
        """Read a document whose signature was checked. Raises Refused if it is not that of `name`."""
        read = _decoded(content, {"name": str, "release": str, "floor": int}, "an assignment")
        if read["name"] != name or not is_id(read["release"]) or read["floor"] < 0:
            raise Refused("is not its assignment", where=name)
        return cls(name, read["release"], read["floor"])


def release_target(release: str) -> str:
    """Return a release's path among TUF's targets."""
    name = ReleaseId.parse(release)
    return f"releases/{name.name}/{name.digest.removeprefix('sha256:')}.json"


def ring_target(ring: str) -> str:
    """Return the path of a ring's assignment. Raises InputError for a name that no ring has."""
    return f"rings/{check_name(ring, 'ring')}.json"


def site_target(site: str) -> str:
    """Return the path of an assignment that is for one site alone. Raises InputError for a name that no site has."""
    return f"sites/{check_name(site, 'site')}.json"


def _file(path: str, told: Any) -> File:
    check_file_name(path)
    size, digest = (told.get("bytes"), told.get("sha256")) if isinstance(told, dict) else (None, None)
    # A boolean is an integer, too.
    if type(size) is not int or not 0 <= size <= _MAX_BYTES:
        raise Refused("has no size", where=path)
    if not isinstance(digest, str) or len(digest) != 64 or not _HEX.issuperset(digest):
        raise Refused("has no digest", where=path)
    return File(size, digest)


def _encoded(fields: Mapping[str, Any]) -> bytes:
    return json.dumps({"format": _FORMAT, **fields}, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _decoded(content: bytes, fields: Mapping[str, type], what: str) -> dict[str, Any]:
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or read.get("format") != _FORMAT:
        raise Refused(f"signed, but not {what} that this version supports")
    for name, kind in fields.items():
        if type(read.get(name)) is not kind:
            raise Refused(f"signed, but {what} without {name}")
    return read
