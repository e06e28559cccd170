"""S3 as several writers at once see it: of two that may write only what is absent, one wins.

moto looks whether an object is there and then writes it, and its server has many threads: two writers could
both be told that they won. Two that send the same part take it from under each other. And it answers 500
where S3 says that an upload is over.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def install() -> None:
    """Teach moto all three, in this process."""
    from moto.s3.exceptions import NoSuchUpload
    from moto.s3.models import S3Backend
    from moto.s3.responses import S3Response

    lock = threading.Lock()
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

    S3Response.key_response = one_at_a_time
    for name in ("upload_part", "complete_multipart_upload", "list_parts"):
        setattr(S3Backend, name, of_an_upload(getattr(S3Backend, name)))
