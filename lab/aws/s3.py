"""S3 as it is for several writers at once, and for a bucket whose versioning is suspended.

Of two writers that may write only what is absent, one wins. moto looks whether an object is there and then
writes it, and its server has many threads: two could both be told that they won. Two that send the same part
take it from under each other. It answers 500 where S3 says that an upload is over, and where one version of
several is deleted while versioning is suspended.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def install() -> None:
    """Teach moto all four, in this process."""
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
