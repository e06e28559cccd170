"""HTTPS listener: certificate, port, and the connections that come there."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from typing import TYPE_CHECKING

import uvicorn
from cryptography.x509 import load_pem_x509_certificate
from uvicorn.server import ServerState

from scenario_model.errors import InputError
from scenario_model.serve import kept_socket, logs
from scenario_model.serve.arrivals import Arrivals
from scenario_model.serve.connection import WRITE_BUFFER_BYTES, Common, connection
from scenario_model.serve.room import Room

if TYPE_CHECKING:
    from scenario_model.serve.gateway import Gateway
    from scenario_model.serve.settings import Limits, Tls

# Of the kernel, which has a limit of its own: what waits to be accepted has no descriptor yet.
_BACKLOG = 4096
_MANY = 2**20
_POLL_SECONDS = 0.05


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


def certificate_end(tls: Tls) -> float:
    """Return until when a certificate that `tls_context` has accepted is valid, in seconds since 1970."""
    return load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc.timestamp()


def bind(host: str, port: int) -> socket.socket:
    """Listen on the port, early and cheaply, on the socket that a former server left, if it is that.

    Raises InputError if the port is unavailable.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InputError(
            f"not an address of this machine: {error.strerror}", where=where, remedy="change 'host'"
        ) from None
    if former := _of_former_server(address):
        return former
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by connections: bounds the kernel's buffers for a slow reader as well.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WRITE_BUFFER_BYTES)
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


def _of_former_server(address: tuple[object, ...]) -> socket.socket | None:
    kept = kept_socket.handed_over()
    for sock in kept:
        if sock.getsockname()[:2] == address[:2]:
            return sock
        sock.close()
    if kept:
        # It may be all addresses of the wanted port, or one of them.
        kept_socket.forget()
    return None


class Listener:
    """Accepts connections for one gateway."""

    def __init__(
        self, gateway: Gateway, limits: Limits, release: str, descriptors: int | None = None
    ) -> None:
        """`descriptors`: what this process may open; None: no limit."""
        self.gateway, self.limits, self.release = gateway, limits, release
        self.room = Room.of(limits, descriptors or _MANY)
        if (self.room.busy, self.room.total) != (limits.connections, limits.all_connections):
            logs.info(
                "too few descriptors for the limits on connections",
                descriptors=descriptors,
                connections=self.room.busy,
                waiting_connections=self.room.total - self.room.busy,
            )
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
        self._arrivals: Arrivals | None = None

    async def start(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Start accepting on a bound socket."""
        loop, seconds = asyncio.get_running_loop(), self.limits.header_seconds
        common = Common(
            self.gateway, self.limits, self.release, self.room, self.config, self.state, self.lost
        )
        self._arrivals = Arrivals(
            self.room, self.gateway.metrics, seconds, lambda place: connection(common, loop, place)
        )
        self._arrivals.start(sock, context)

    def lost(self, reason: str) -> None:
        """Count a connection that ended before a handler, and log it with others."""
        if self._arrivals is not None:
            self._arrivals.lost(reason)

    async def leave(self, grace: float, seconds: float) -> None:
        """Accept no further connections; wait `seconds` at most until the others have ended.

        They may send requests for another `grace` seconds; then each ends with the answer that it waits for.
        """
        if self._arrivals is not None:
            self._arrivals.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(grace)
                self._end_idle()
                while self.state.connections:  # noqa: ASYNC110  (uvicorn's set, which tells nobody)
                    await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """Stop accepting, close idle connections, abort others."""
        if self._arrivals is not None:
            self._arrivals.close()
        self._end_idle()
        await asyncio.sleep(0.1)
        for each in list(self.state.connections):
            if each.transport is not None:
                each.transport.abort()

    def _end_idle(self) -> None:
        for each in list(self.state.connections):
            each.shutdown()
