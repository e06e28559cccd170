"""Server-sent events to one client: complete events, keep-alive comments, and a timeout for stalled readers.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Send

    from scenario_model.serve.engine.interface import Generation

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx would buffer the events otherwise.
    (b"x-accel-buffering", b"no"),
]
# Without the blank line that ends an event: openai-go v2 takes that for an event, of empty JSON.
_STILL_WORKING = b": still working\n"


class EventStream:
    """The answer's status and headers are sent with the first event or comment.

    So a request that cannot be started can still get its own status.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent_at = asyncio.get_running_loop().time()
        self._one_writer = asyncio.Lock()
        self.opened = False

    async def event(self, data: dict[str, Any] | str) -> None:
        """Send one event; `data` is JSON unless it is text."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        await self._write(f"data: {text}\n\n".encode())

    async def close(self) -> None:
        """End the answer."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextlib.asynccontextmanager
    async def kept_alive(self, seconds: float) -> AsyncIterator[None]:
        """Send a comment whenever nothing else was sent for this long."""
        task = asyncio.create_task(self._comment_when_silent(seconds))
        try:
            yield
        finally:
            await _end(task)

    async def _comment_when_silent(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, self._sent_at + seconds - loop.time()))
            if loop.time() >= self._sent_at + seconds:
                await self._write(_STILL_WORKING)

    async def _write(self, body: bytes) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        async with self._one_writer:
            if not self.opened:
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                self.opened = True
            await self._send({"type": "http.response.body", "body": body, "more_body": True})


class WholeLines:
    """Events of another server, passed on in whole lines: so an event of our own can follow at any time."""

    def __init__(self) -> None:
        self._rest, self._last = b"", b""

    def add(self, piece: bytes) -> bytes:
        """The lines that are complete now."""
        lines, end, self._rest = (self._rest + piece).rpartition(b"\n")
        if end:
            self._last = lines.rpartition(b"\n")[2]
        return lines + end

    def closing(self, data: dict[str, Any]) -> bytes:
        """A last event, after the end of the one that was under way."""
        # Not after a comment: openai-go v2 takes a blank line for an event.
        end = "\n" if self._last.startswith(b"data:") else ""
        return f"{end}data: {json.dumps(data)}\n\n".encode()


@contextlib.asynccontextmanager
async def cancelled_on_disconnect(generation: Generation, receive: Receive) -> AsyncIterator[None]:
    """Release the generation's slot when the client disconnects, or when the block ends for any reason."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        generation.cancel()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        generation.cancel()
        await _end(task)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
