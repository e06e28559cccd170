"""A large file into one object, in parts, going on where a killed writer stopped.

What a dead writer's upload holds is found by the object's key. A part is left as it is if S3's checksum of
it, SHA-256, is that of the file's; a store that lists no checksums gives the MD5. Two writers of one file may
feed the same upload: their parts are the same. Memory: four parts.
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
# What S3 says where another writer was quicker: it completed the object, or this very upload.
_IN_THE_WAY = ("PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchUpload")


def checksum(content: bytes) -> str:
    """SHA-256 as S3 wants it: base64."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def named(content: bytes) -> str:
    """SHA-256 as this package names it: `sha256:<64 hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def create(s3: Any, Bucket: str, Key: str, *, path: Path, metadata: dict[str, str]) -> bool:  # noqa: N803
    """Create the object from the file if it is absent; False if another writer was in the way."""
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
    """Drop unfinished uploads of an object (`below`: of all objects whose keys begin so): they cost money."""
    from botocore.exceptions import ClientError

    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=Bucket, Prefix=Key)
    for each in [upload for page in pages for upload in page.get("Uploads", ())]:
        if not below and each["Key"] != Key:
            continue
        try:
            s3.abort_multipart_upload(Bucket=Bucket, Key=each["Key"], UploadId=each["UploadId"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":  # its writer did so, or completed it
                raise


def _begun(s3: Any, bucket: str, key: str) -> list[str]:
    """The unfinished uploads of the object, the newest last."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key)
    found = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Key"] == key]
    return [upload["UploadId"] for upload in sorted(found, key=lambda upload: upload["Initiated"])]


def _carry(s3: Any, at: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Upload the parts that are not there yet; returns all, as completing the upload wants them."""
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
