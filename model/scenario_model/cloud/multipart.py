"""Uploads a large file in parts, resuming where a killed writer stopped.

A dead writer's upload is found by the object's key. A part is kept if its SHA-256 checksum in S3 matches the
file's; stores that list no checksums give the MD5. Two writers of one file may share an upload: their parts
are the same. Memory: four parts.
"""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PART_BYTES = 16 * 2**20
_MOST_PARTS = 10_000
_AT_ONCE = 4
# S3's errors if another writer was faster: it completed the object, or this very upload.
_IN_THE_WAY = ("PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchUpload")


def checksum(content: bytes) -> str:
    """SHA-256 in S3's form: base64."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def named(content: bytes) -> str:
    """SHA-256 in this package's form: `sha256:<64 hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def create(s3: Any, Bucket: str, Key: str, *, path: Path, metadata: dict[str, str]) -> bool:  # noqa: N803
    """Create the object from the file if it is absent; False if another writer interfered."""
    from botocore.exceptions import ClientError

    at = {"Bucket": Bucket, "Key": Key}
    try:
        begun = _begun(s3, Bucket, Key)
        if not begun:
            answer = s3.create_multipart_upload(**at, ChecksumAlgorithm="SHA256", Metadata=metadata)
            begun = [answer["UploadId"]]
        at["UploadId"] = begun[-1]
        parts = _carry(s3, at, path)
        s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] in _IN_THE_WAY:
            return False
        raise
    return True


def abandon(s3: Any, Bucket: str, Key: str, *, below: bool = False) -> None:  # noqa: N803
    """Abort unfinished uploads of an object (`below`: of all objects with this key prefix): they cost money."""
    from botocore.exceptions import ClientError

    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=Bucket, Prefix=Key)
    for each in [upload for page in pages for upload in page.get("Uploads", ())]:
        if not below and each["Key"] != Key:
            continue
        try:
            s3.abort_multipart_upload(Bucket=Bucket, Key=each["Key"], UploadId=each["UploadId"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":  # its writer aborted or completed it
                raise


def _begun(s3: Any, bucket: str, key: str) -> list[str]:
    """The unfinished uploads of the object, the newest last."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key)
    found = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Key"] == key]
    return [upload["UploadId"] for upload in sorted(found, key=lambda upload: upload["Initiated"])]


def _carry(s3: Any, at: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Upload the missing parts; returns all parts, in the form needed to complete the upload."""
    pages = s3.get_paginator("list_parts").paginate(**at)
    there = {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}
    size = path.stat().st_size
    step = max(PART_BYTES, -(-size // _MOST_PARTS))
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        numbers = range(1, -(-size // step) + 1)
        return list(pool.map(lambda number: _part(s3, at, path, step, number, there.get(number)), numbers))
    finally:
        pool.shutdown(cancel_futures=True)


def _part(
    s3: Any, at: dict[str, Any], path: Path, step: int, number: int, there: dict[str, Any] | None
) -> dict[str, Any]:
    with path.open("rb") as stream:
        stream.seek((number - 1) * step)
        content = stream.read(step)
    part = {"PartNumber": number, "ChecksumSHA256": checksum(content)}
    if there is not None and _is_same(content, part["ChecksumSHA256"], there):
        return {**part, "ETag": there["ETag"]}
    answer = s3.upload_part(**at, Body=content, **part)
    return {**part, "ETag": answer["ETag"]}


def _is_same(content: bytes, expected: Any, there: dict[str, Any]) -> bool:
    if "ChecksumSHA256" in there:
        return bool(there["ChecksumSHA256"] == expected)
    return bool(there["ETag"].strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest())
