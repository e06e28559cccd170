"""Sends a file's bytes to a site: the range it asks for, in pieces, never whole in memory."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from starlette.types import Receive, Scope, Send

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_STALL_SECONDS = 60.0


def wanted(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """Return the bytes that a request asks for, from and to (exclusive); None: there are no such bytes.

    Several ranges at once are answered with all of the file, as is a range of a version that is no longer there.
    """
    asked = _RANGE.fullmatch(headers.get("range", ""))
    if asked is None or asked.groups() == ("", "") or headers.get("if-range", etag) != etag:
        return 0, size
    first, last = asked.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


class InPieces(Response):
    """An answer whose pieces are read by `pool`; `ended` is called when the last was sent or the site is gone.

    A site that takes nothing for a minute is cut off.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        pool: Executor,
        ended: Callable[[], None],
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status_code=status, headers=headers, media_type="application/octet-stream")
        self._pieces, self._pool, self._ended = pieces, pool, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `Response`."""
        del scope
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async with contextlib.aclosing(_read(self._pieces, self._pool)) as pieces:
                async for piece in pieces:
                    if gone.done():
                        return
                    async with asyncio.timeout(_STALL_SECONDS):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._ended()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(pieces: Iterator[bytes], pool: Executor) -> AsyncGenerator[bytes]:
    piece = pool.submit(next, pieces, b"")
    try:
        while content := await asyncio.wrap_future(piece):
            yield content
            piece = pool.submit(next, pieces, b"")
    finally:
        # A file is closed by the thread that reads it, when it has done so.
        if close := getattr(pieces, "close", None):
            piece.add_done_callback(lambda _: pool.submit(close))
