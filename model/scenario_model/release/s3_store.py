"""A store in an S3 bucket, with the layout of a folder store: objects by their keys, a release's files below its key.

S3 has no rename, so a release appears with its last object: `release.sig`, which lists all others and is
created only if absent. Until then its files are not listed or read. Every file is created only once, too; two
writers of one release reuse each other's files, and one creates the signature. See
docs/decisions/0052-s3-store.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_model.cloud import tree as trees
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.release.names import ReleaseId
from scenario_model.release.store import MAX_OBJECT_BYTES, check_key, is_key
from scenario_model.signing.tree import SIGNATURE, check_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scenario_model.cloud.bucket import Bucket, Stored


class S3Store:
    """See `Store`. Raises InputError and TemporaryError if the bucket's requests fail."""

    def __init__(self, bucket: Bucket, cache: Path) -> None:
        """`cache`: a local folder for fetched releases, complete or not at all."""
        self._bucket, self._cache = bucket, cache

    def read(self, key: str) -> bytes | None:
        """See `Store`. Raises Refused for an object that is too large."""
        return self._bucket.read(check_key(key), MAX_OBJECT_BYTES) if self._is_visible(key) else None

    def create(self, key: str, content: bytes) -> bool:
        """See `Store`."""
        return self._bucket.create(check_key(key), content)

    def swap(self, key: str, content: bytes, expected: bytes | None) -> bool:
        """See `Store`."""
        if expected is None:
            return self.create(key, content)
        return self._bucket.swap(check_key(key), content, expected)

    def children(self, prefix: str) -> list[str]:
        """See `Store`."""
        match check_key(prefix).split("/"):
            case ["releases", name]:
                keys = (key.split("/") for key in self._bucket.sizes(f"releases/{name}"))
                found = [parts[0] for parts in keys if parts[1:] == [SIGNATURE]]
            case _:
                found = self._bucket.children(prefix) if self._is_visible(f"{prefix}/.") else []
        return sorted(name for name in found if is_key(name))

    def keys(self, prefix: str) -> list[str]:
        """All keys below `prefix`, relative to it."""
        return [*self._bucket.sizes(check_key(prefix))]

    def describe(self, key: str) -> Stored | None:
        """See `Bucket`; an incomplete release has no files."""
        return self._bucket.describe(check_key(key)) if self._is_visible(key) else None

    def pieces(self, key: str, version: Stored, start: int, end: int) -> Iterator[bytes]:
        """See `Bucket`."""
        return self._bucket.pieces(check_key(key), version, start, end)

    def upload(self, release: str, directory: Path) -> bool:
        """See `Store`. Resumes where a killed writer stopped.

        Raises InputError for a directory without a signature; Refused, by name, if the bucket contains other
        files, or different content, below the release's key.
        """
        name = ReleaseId.parse(release)
        if self._is_there(name):
            return False
        signature = directory / SIGNATURE
        if not signature.is_file():
            raise InputError(f"is not signed: it has no {SIGNATURE}", where=str(directory))
        paths = sorted(path for path in directory.rglob("*") if not path.is_dir() and path != signature)
        files = {path.relative_to(directory).as_posix(): path for path in paths}
        for file, path in files.items():
            check_file_name(file)
            if path.is_symlink() or not path.is_file():
                raise Refused("is a symlink or special file", where=str(path))
            self._bucket.upload(f"{name.key}/{file}", path)
        for file in sorted(self._bucket.sizes(name.key).keys() - files.keys() - {SIGNATURE}):
            where = f"{self._bucket.uri}/{name.key}/{file}"
            raise Refused("is not a file of this release", where=where, remedy="remove it and try again")
        return self._bucket.create(f"{name.key}/{SIGNATURE}", signature.read_bytes())

    def fetch(self, release: str) -> Path:
        """See `Store`: a copy in the cache, with the digest in the release's name.

        Raises Refused if the digest differs, naming the object if known.
        """
        name = ReleaseId.parse(release)
        if not self._is_there(name):
            remedy = "`scenario-model release list` shows its releases"
            raise InputError(f"does not contain release {release}", where=self._bucket.uri, remedy=remedy)
        final = self._cache / name.key
        with trees.aside(final) as draft:
            if draft is not None:
                below = self._bucket.below(name.key)
                trees.bring(below, draft, check_file_name)
                if tree_digest(draft, leave_out=frozenset({SIGNATURE})) != name.digest:
                    raise self._guilty(name)
                for path in draft.rglob("*"):
                    if path.is_file():
                        path.chmod(0o444)
        return final

    def _guilty(self, name: ReleaseId) -> Refused:
        """The objects that were not uploaded by this store, if only some."""
        below = self._bucket.below(name.key)
        keys = [key for key in below.sizes() if key != SIGNATURE]
        unnoted = [key for key in keys if (noted := below.describe(key)) is None or noted.digest is None]
        where = f"{below.uri}/{unnoted[0]}" if 0 < len(unnoted) < len(keys) else below.uri
        return Refused("content does not match the release's digest", where=where)

    def _is_there(self, release: ReleaseId) -> bool:
        return self._bucket.describe(f"{release.key}/{SIGNATURE}") is not None

    def _is_visible(self, key: str) -> bool:
        """Whether `key` is not part of an incomplete or deleted release."""
        parts = key.split("/")
        if parts[0] != "releases" or len(parts) < 4 or parts[3:] == [SIGNATURE]:
            return True
        return self._bucket.describe("/".join([*parts[:3], SIGNATURE])) is not None
