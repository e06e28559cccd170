"""Objects in an S3 bucket, below a prefix: read, created once, listed, and files uploaded and downloaded.

Objects that are created once use a conditional write (`If-None-Match: *`): of several writers one wins, and
the others get an error. Files have their SHA-256 in the metadata `sha256`, which saves transfers and detects
changes; it is not trusted.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scenario_model.cloud import multipart
from scenario_model.cloud.client import aws_errors, client
from scenario_model.digests import file_digest
from scenario_model.errors import InputError, Refused, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9][A-Za-z0-9._-]*)*)/?")
_DIGEST = "sha256"
_WRITERS_IN_THE_WAY = 3
_MIB = 2**20
_PIECE_BYTES = 256 * 1024
_AT_ONCE = 1000  # maximum of S3's batch delete


def is_bucket_uri(where: str) -> bool:
    """Whether `where` is a bucket and not a folder."""
    return where.startswith("s3://")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's metadata: size in bytes, and the SHA-256 (`sha256:<64 hex>`) recorded by its writer, if any.

    `etag`: no other version of the object has it.
    """

    size: int
    digest: str | None
    etag: str = field(default="", compare=False)


class Bucket:
    """The objects below `s3://bucket/prefix`; keys are relative to it. Thread-safe."""

    def __init__(self, uri: str) -> None:
        """Raises InputError if `uri` is invalid, or for what `client` refuses."""
        found = _URI.fullmatch(uri)
        if not found:
            remedy = "write it as s3://BUCKET/PREFIX; the prefix may contain letters, digits, '.', '_', '-' and '/'"
            raise InputError("is not a bucket", where=uri[:200], remedy=remedy)
        self.uri = uri.rstrip("/")
        self._bucket, self._prefix = found[1], found[2].strip("/") + "/" if found[2] else ""
        self._client = client("s3")

    def below(self, key: str) -> Bucket:
        """The part of this bucket below `key`."""
        return Bucket(f"{self.uri}/{key}")

    def check(self, *, to_write: bool = False) -> None:
        """Raise InputError unless the bucket exists, is in this region, and can be listed.

        boto3 silently follows a bucket into another region; data would leave the chosen region.
        """
        from botocore.exceptions import ClientError

        place = {"Bucket": self._bucket}
        with aws_errors(self.uri):
            try:
                answer = self._client.head_bucket(**place)
            except ClientError as error:
                answer = error.response
                if answer["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    error.response["Error"]["Code"] = (
                        "NoSuchBucket"  # a HEAD response has no body with the reason
                    )
                    raise
            there = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
            here = self._client.meta.region_name
            if there not in (None, here):
                remedy = f"set AWS_REGION={there}, or choose another bucket"
                raise InputError(f"is in region {there}, not in {here}", where=self.uri, remedy=remedy)
            # A role may have permission to list its prefix but not for HeadBucket.
            self._client.list_objects_v2(**place, Prefix=self._prefix, MaxKeys=1)
            if to_write:
                self._client.list_multipart_uploads(**place, Prefix=self._prefix, MaxUploads=1)

    def read(self, key: str, limit: int) -> bytes | None:
        """The content of an object of at most `limit` bytes; None if there is none. Raises Refused."""
        with aws_errors(self._where(key)):
            answer = self._get(key)
            if answer is None:
                return None
            with answer["Body"] as body:
                content: bytes = body.read(limit + 1)
        if len(content) > limit:
            raise Refused(f"is larger than {limit} bytes", where=self._where(key))
        return content

    def create(self, key: str, content: bytes) -> bool:
        """Create the object if it is absent; else do nothing and return False."""
        return self._put(key, content, IfNoneMatch="*")

    def swap(self, key: str, content: bytes, expected: bytes) -> bool:
        """Replace the object if its content is `expected`, by a conditional write; else return False."""
        with aws_errors(self._where(key)):
            answer = self._get(key)
            if answer is None:
                return False
            with answer["Body"] as body:
                same = body.read(len(expected) + 1) == expected
        return same and self._put(key, content, IfMatch=answer["ETag"])

    def put(self, key: str, content: bytes) -> None:
        """Write the object, replacing any existing one."""
        self._put(key, content)

    def describe(self, key: str) -> Stored | None:
        """Size and recorded digest of an object; None if it does not exist."""
        from botocore.exceptions import ClientError

        with aws_errors(self._where(key)):
            try:
                answer = self._client.head_object(**self._at(key))
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        return Stored(answer["ContentLength"], answer["Metadata"].get(_DIGEST), answer["ETag"])

    def pieces(self, key: str, version: Stored, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` to `end` (exclusive) of the version that was described, as they arrive.

        Raises Refused if the object was replaced, TemporaryError if the connection breaks.
        """
        from botocore.exceptions import ClientError

        if start >= end:
            return
        with aws_errors(self._where(key)):
            try:
                answer = self._client.get_object(
                    **self._at(key), Range=f"bytes={start}-{end - 1}", IfMatch=version.etag
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 412):
                    raise Refused("was replaced meanwhile", where=self._where(key)) from None
                raise
            # As a context, a body is the bare HTTP response, whose errors are not AWS's.
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(_PIECE_BYTES)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The sizes in bytes of all objects below `prefix`, by key relative to it, sorted."""
        start = self._below(prefix)
        with aws_errors(self._where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start)
            found = {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}
        # Consoles create such keys for empty folders.
        return {key[len(start) :]: found[key] for key in sorted(found) if not key.endswith("/")}

    def versions(self) -> list[list[str]]:
        """Key and ETag of all objects, sorted: changes whenever the content does."""
        with aws_errors(self.uri):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            return sorted([each["Key"], each["ETag"]] for page in pages for each in page.get("Contents", ()))

    def children(self, prefix: str) -> list[str]:
        """The sorted last segments of the keys directly below `prefix`."""
        start = self._below(prefix)
        with aws_errors(self._where(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=start, Delimiter="/"
            )
            found = set()
            for page in pages:
                found |= {each["Prefix"][len(start) : -1] for each in page.get("CommonPrefixes", ())}
                found |= {each["Key"][len(start) :] for each in page.get("Contents", ())}
        return sorted(found)

    def upload(self, key: str, path: Path) -> None:
        """Create the object from a file, resuming where a killed writer stopped.

        Does nothing if it exists with the same content. Raises Refused if it exists with different content.
        """
        digest = file_digest(path)
        for _ in range(_WRITERS_IN_THE_WAY):
            there = self.describe(key)
            if there is None and self._carry(key, path, digest):
                return
            there = there or self.describe(key)
            if there == Stored(path.stat().st_size, digest):
                with aws_errors(self._where(key)):
                    multipart.abandon(self._client, **self._at(key))
                return
            if there is not None:
                remedy = "another writer created it; inspect it, remove it, and try again"
                raise Refused("exists with different content", where=self._where(key), remedy=remedy)
        raise TemporaryError("other writers are changing it", where=self._where(key), remedy="try again")

    def replace(self, key: str, path: Path) -> None:
        """Upload a file, replacing any existing object; concurrent writers are not detected."""
        with aws_errors(self._where(key)):
            self._client.upload_file(str(path), self._bucket, self._prefix + key, Config=_transfer())

    def download(self, key: str, path: Path) -> None:
        """Download the object into a file, in pieces, with retries."""
        with aws_errors(self._where(key)):
            self._client.download_file(self._bucket, self._prefix + key, str(path), Config=_transfer())

    def delete(self, prefix: str) -> None:
        """Remove all objects and unfinished uploads below `prefix`."""
        keys = [{"Key": f"{self._below(prefix)}{key}"} for key in self.sizes(prefix)]
        with aws_errors(self._where(prefix)):
            multipart.abandon(self._client, self._bucket, self._below(prefix), below=True)
            for start in range(0, len(keys), _AT_ONCE):
                chosen = {"Objects": keys[start : start + _AT_ONCE], "Quiet": True}
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=chosen)
                for error in answer.get("Errors", ()):
                    raise InputError(f"cannot be removed: {error.get('Code')}", where=error.get("Key", ""))

    def abandon_uploads(self) -> None:
        """Abort uploads that killed writers left unfinished."""
        with aws_errors(self.uri):
            multipart.abandon(self._client, self._bucket, self._prefix, below=True)

    def _get(self, key: str) -> Any:
        from botocore.exceptions import ClientError

        try:
            return self._client.get_object(**self._at(key))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        from botocore.exceptions import ClientError

        checked = {
            "ChecksumSHA256": multipart.checksum(content),
            "Metadata": {_DIGEST: multipart.named(content)},
        }
        with aws_errors(self._where(key)):
            for attempt in range(_WRITERS_IN_THE_WAY):
                try:
                    self._client.put_object(**self._at(key), Body=content, **checked, **condition)
                    return True
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code == "ConditionalRequestConflict" and attempt + 1 < _WRITERS_IN_THE_WAY:
                        continue
                    if code not in ("PreconditionFailed", "412"):
                        raise
                    repeated = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                    break
        # After a lost response boto3 retries, and the existing object may be our own.
        return repeated and self.read(key, len(content)) == content

    def _carry(self, key: str, path: Path, digest: str) -> bool:
        """Create the object; False if another writer interfered."""
        if path.stat().st_size <= multipart.PART_BYTES:
            return self._put(key, path.read_bytes(), IfNoneMatch="*")
        with aws_errors(self._where(key)):
            return multipart.create(self._client, **self._at(key), path=path, metadata={_DIGEST: digest})

    def _below(self, prefix: str) -> str:
        return f"{self._prefix}{prefix}/" if prefix else self._prefix

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _where(self, key: str) -> str:
        return f"{self.uri}/{key}" if key else self.uri


def _transfer() -> Any:
    """At most 4 pieces of 16 MiB in memory, and as much in the write queue."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=multipart.PART_BYTES,
        multipart_chunksize=multipart.PART_BYTES,
        max_concurrency=4,
        max_io_queue=256,
        io_chunksize=_MIB // 4,
    )
