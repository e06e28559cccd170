"""Corrects moto's S3 for concurrent writers, and for buckets with suspended versioning.

Of two conditional writers, one must win. moto checks for the object and then writes it, in many threads: both
could win. Two uploads of the same part interfere. It answers 500 where S3 reports a completed upload, and
when one of several versions is deleted while versioning is suspended.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def install() -> None:
    """Patch all four in moto, in this process."""
    from moto.s3.exceptions import NoSuchUpload
    from moto.s3.models import S3Backend
    from moto.s3.responses import S3Response

    lock = threading.RLock()
    answer = S3Response.key_response

    @functools.wraps(answer)
    def one_at_a_time(self: Any, request: Any, full_url: str, *rest: Any) -> Any:
        if "uploadId=" not in full_url and not {"If-None-Match", "If-Match"} & set(request.headers.keys()):
            return answer(self, request, full_url, *rest)
        with lock:
            return answer(self, request, full_url, *rest)

    def of_an_upload(act: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(act)
        def looked_up(self: Any, bucket_name: str, multipart_id: str, *rest: Any, **named: Any) -> Any:
            try:
                return act(self, bucket_name, multipart_id, *rest, **named)
            except KeyError:
                raise NoSuchUpload(upload_id=multipart_id) from None

        return looked_up

    delete = S3Backend.delete_object

    @functools.wraps(delete)
    def of_a_version(
        self: Any, bucket_name: str, key: str, version_id: str | None = None, **named: Any
    ) -> Any:
        bucket = self.get_bucket(bucket_name)
        if version_id is None or bucket.versioning_status != "Suspended":
            return delete(self, bucket_name, key, version_id=version_id, **named)
        with lock:
            bucket.versioning_status = "Enabled"
            try:
                return delete(self, bucket_name, key, version_id=version_id, **named)
            finally:
                bucket.versioning_status = "Suspended"

    S3Response.key_response = one_at_a_time
    S3Backend.delete_object = of_a_version
    for name in ("upload_part", "complete_multipart_upload", "list_parts"):
        setattr(S3Backend, name, of_an_upload(getattr(S3Backend, name)))
