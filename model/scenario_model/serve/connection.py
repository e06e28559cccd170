"""One client's connection: uvicorn's HTTP/1.1 protocol, with the limits that it leaves to a reverse proxy.

Added here: limits on a head's size and time (slow senders) and on busy connections, small write buffers (slow
readers hold no memory), and a way to abort a connection at once.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from scenario_model.serve.errors import ApiError
from scenario_model.serve.framing import fault
from scenario_model.serve.gateway import ABORT, OPEN_PATHS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import uvicorn
    from uvicorn.server import ServerState

    from scenario_model.serve.gateway import Gateway
    from scenario_model.serve.room import Place, Room
    from scenario_model.serve.settings import Limits

_HEAD_BYTES = 64 * 1024
_SLICE_BYTES = 4096
# Bytes of framing for a byte of the body: a chunk of one byte has five.
_FRAMING = 8
WRITE_BUFFER_BYTES = 64 * 1024
_OPEN_URLS = tuple(path.encode() for path in OPEN_PATHS)


@dataclass(frozen=True, slots=True)
class Common:
    """What the connections of one listener share. lost: counts one that ended before a handler, by reason."""

    gateway: Gateway
    limits: Limits
    release: str
    room: Room
    config: uvicorn.Config
    state: ServerState
    lost: Callable[[str], None]


class _Connection(HttpToolsProtocol):
    """One client. `_head` is the timeout of a request's head."""

    def __init__(self, common: Common, loop: asyncio.AbstractEventLoop, place: Place) -> None:
        super().__init__(common.config, common.state, {}, loop)
        self._common, self._place = common, place
        self._head: asyncio.TimerHandle | None = None
        # While a head arrives: its bytes, counted in slices, and in the fields that are complete.
        self._in_head, self._head_raw, self._head_size = False, 0, 0
        # After the head: bytes, and those of the body among them.
        self._rest = self._body = 0
        self._refusal: ApiError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._place.end = transport.abort
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._common.room.leaves(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # In slices, so that a limit holds however much arrives at once.
        for start in range(0, len(data), _SLICE_BYTES):
            if not self.transport.is_closing():
                self._slice_received(data[start : start + _SLICE_BYTES])

    def _slice_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_raw += len(data)
        else:
            self._rest += len(data)
        if max(self._head_raw, self._head_size) > _HEAD_BYTES:
            self._turn_away(_head_too_large())
            return
        super().data_received(data)
        # Sizes of chunks and trailers, which no handler sees: small ones double or triple a body.
        if self._rest - self._body > _HEAD_BYTES + _FRAMING * self._body and not self.transport.is_closing():
            self._turn_away(
                ApiError(
                    431, "The request's chunk sizes and trailers are too large.", code="trailer_too_large"
                )
            )
            return
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_raw, self._head_size = True, 0, 0
        self._rest = self._body = 0
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head, the parser reports the trailers of a chunked body here: no framing, routing or
        # authentication may come from them (RFC 9110, section 6.5.1), and we use none.
        if self._in_head:
            self._head_size += len(name) + len(value) + len(b": \r\n")
            super().on_header(name, value.rstrip(b" \t"))

    def on_url(self, url: bytes) -> None:
        self._head_size += len(url)
        super().on_url(url)

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_head = False
        version = self.parser.get_http_version()
        self._refuse_if(self._refused(version))
        self._head_raw = self._head_size = 0
        self._stop_timer()
        self._common.room.becomes_busy(self._place)
        if version == "1.0":
            self.expect_100_continue = False
        super().on_headers_complete()
        if version == "1.0":
            _without_chunks(self.cycle)
        if self.parser.should_upgrade():
            # Refused by being ignored; the parser does not read on.
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._common.room.waits(self._place)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._turn_away(self._refusal or ApiError(400, msg, code="malformed_request"))

    def _refused(self, version: str) -> ApiError | None:
        """Why a request with this head is not handled; None if it is."""
        if self._head_size > _HEAD_BYTES:
            return _head_too_large()
        if malformed := fault(version, self.headers):
            return malformed
        # A busy connection may send its next request early.
        crowded = self._common.room.full and not self._place.busy
        if crowded and self.url.partition(b"?")[0] not in _OPEN_URLS:
            return ApiError(503, "Too many connections.", code="too_many_connections", retry_after=1)
        return None

    def _refuse_if(self, refusal: ApiError | None) -> None:
        """Raise, which ends the parser: it then calls `send_400_response`."""
        if refusal is not None:
            self._refusal = refusal
            raise refusal

    def _await_head(self) -> None:
        seconds = self._common.limits.header_seconds
        self._head = self.loop.call_later(
            seconds,
            lambda: self._turn_away(
                ApiError(
                    408, f"The request's head did not arrive within {seconds:g} s.", code="request_timeout"
                )
            ),
        )

    def _stop_timer(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _turn_away(self, error: ApiError) -> None:
        """Answer without a handler and close; an answer in progress is aborted instead."""
        self._stop_timer()
        self._common.lost(error.reason)
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        more = self._common.gateway.cors.headers({"headers": self.headers or []})
        self.transport.write(_raw(error, self._common.release, more))
        self.transport.close()


def _head_too_large() -> ApiError:
    return ApiError(431, f"The request's head is larger than {_HEAD_BYTES} bytes.", code="head_too_large")


def _without_chunks(cycle: RequestResponseCycle) -> None:
    """Let an answer without a length end with the connection: HTTP/1.0 has no chunks."""
    send, ends_with_connection = cycle.send, False

    async def send_plainly(message: Any) -> None:
        nonlocal ends_with_connection
        if message["type"] == "http.response.start":
            ends_with_connection = all(name.lower() != b"content-length" for name, _ in message["headers"])
            cycle.chunked_encoding = False if ends_with_connection else None
        elif ends_with_connection:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_plainly  # type: ignore[method-assign]


def connection(common: Common, loop: asyncio.AbstractEventLoop, place: Place) -> asyncio.Protocol:
    """Return the protocol of a new connection that has this place."""
    return _Connection(common, loop, place)


def _raw(error: ApiError, release: str, more: list[tuple[bytes, bytes]]) -> bytes:
    body = json.dumps(error.body).encode()
    headers: dict[str, Any] = {
        **error.headers,
        "content-type": "application/json",
        "content-length": len(body),
        "connection": "close",
        "x-request-id": f"req_{secrets.token_hex(12)}",
        "x-release": release,
        **{name.decode(): value.decode("latin-1") for name, value in more},
    }
    lines = [f"HTTP/1.1 {error.status} Refused", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
