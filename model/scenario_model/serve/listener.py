"""HTTPS listener: uvicorn's HTTP/1.1 protocol, with the limits that it leaves to a reverse proxy.

Added here: limits on connections and on a head's size and time (slow senders), small write buffers (slow
readers hold no memory), and a way to abort a connection at once.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from scenario_model.errors import InputError
from scenario_model.serve.errors import ApiError
from scenario_model.serve.gateway import ABORT

if TYPE_CHECKING:
    from scenario_model.serve.gateway import Gateway
    from scenario_model.serve.settings import Limits, Tls

_HEAD_BYTES = 64 * 1024
_WRITE_BUFFER_BYTES = 64 * 1024
_BACKLOG = 256
_HANDSHAKE_SECONDS = 10.0
# Peers that do not complete the TLS close are disconnected.
_TLS_CLOSE_SECONDS = 2.0


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or newer with the given certificate. Raises InputError if the files are not a usable pair."""
    for path in (tls.certificate, tls.private_key):
        try:
            path.read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot read the file: {error.strerror}",
                where=str(path),
                remedy="`scenario-model credentials` creates certificates",
            ) from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # The empty password makes an encrypted key an error instead of a prompt.
        context.load_cert_chain(tls.certificate, tls.private_key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise InputError(
            f"not a usable PEM certificate with the private key {tls.private_key} (unencrypted): {reason}",
            where=str(tls.certificate),
        ) from None
    return context


def bind(host: str, port: int) -> socket.socket:
    """Bind the port, early and cheaply. Raises InputError if it is unavailable."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InputError(
            f"not an address of this machine: {error.strerror}", where=where, remedy="change 'host'"
        ) from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by connections: bounds the kernel's buffers for a slow reader as well.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WRITE_BUFFER_BYTES)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise InputError(
            f"cannot listen there: {error.strerror}",
            where=where,
            remedy="change 'host' or 'port', or stop what uses it",
        ) from None
    return sock


class Listener:
    """Accepts connections for one gateway."""

    def __init__(self, gateway: Gateway, limits: Limits, release: str) -> None:
        self.gateway, self.limits, self.release = gateway, limits, release
        self.config = uvicorn.Config(
            gateway,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=math.ceil(limits.idle_seconds),
        )
        self.config.load()
        self.state = ServerState()
        self._servers: list[asyncio.Server] = []

    async def start(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Start accepting on a bound socket."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self, loop),
            sock=sock,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=_TLS_CLOSE_SECONDS,
        )
        self._servers.append(server)

    async def close(self) -> None:
        """Stop accepting, close idle connections, abort others."""
        for server in self._servers:
            server.close()
        for connection in list(self.state.connections):
            connection.shutdown()
        await asyncio.sleep(0.1)
        for connection in list(self.state.connections):
            if connection.transport is not None:
                connection.transport.abort()


class _Connection(HttpToolsProtocol):
    """One client. `_head` is the timeout of a request's head."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener.config, listener.state, {}, loop)
        self._listener = listener
        self._head: asyncio.TimerHandle | None = None
        self._head_size: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self._listener.limits.connections:
            self._turn_away(
                ApiError(503, "Too many connections.", code="too_many_connections", retry_after=1)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_size is not None:
            self._head_size += len(data)
            if self._head_size > _HEAD_BYTES:
                self._turn_away(ApiError(431, "The request's head is too large.", code="head_too_large"))
                return
        super().data_received(data)
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head, the parser reports the trailers of a chunked body here: no framing, routing or
        # authentication may come from them (RFC 9110, section 6.5.1), and we use none.
        if self._head_size is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_size = None
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._turn_away(ApiError(400, msg, code="malformed_request"))

    def _await_head(self) -> None:
        seconds = self._listener.limits.header_seconds
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
        self._listener.gateway.metrics.refused(error.code or "error")
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        self.transport.write(_raw(error, self._listener.release))
        self.transport.close()


def _raw(error: ApiError, release: str) -> bytes:
    body = json.dumps(error.body).encode()
    headers: dict[str, Any] = {
        **error.headers,
        "content-type": "application/json",
        "content-length": len(body),
        "connection": "close",
        "x-request-id": f"req_{secrets.token_hex(12)}",
        "x-release": release,
    }
    lines = [f"HTTP/1.1 {error.status} Refused", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
