"""Runs the catalogue's web server over TLS, where a client may show a site's certificate; credentials reload."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scenario_model.catalogue.web import PEER, CatalogueWeb, healthz
from scenario_model.catalogue.web_metrics import CONTENT_TYPE
from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.serve import logs

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

_RELOAD_SECONDS = 10.0
# A visit's requests come within seconds; until the next one a connection would only take memory.
_IDLE_SECONDS = 15
_CONNECTIONS = 12_000
_GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class WebTls:
    """The server's certificate and key, PEM files, and the certificates (PEM) of the authorities for sites."""

    certificate: Path
    private_key: Path
    sites: Sequence[bytes]

    def context(self) -> ssl.SSLContext:
        """TLS 1.3 with a client certificate if there is one. Raises InputError if the files cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(cadata=b"".join(self.sites).decode())
            context.load_cert_chain(self.certificate, self.private_key, password="")
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be used for TLS: {error}", where=str(self.certificate)) from None
        return context

    def changed(self) -> tuple[float, ...]:
        """When the server's files last changed."""
        return tuple(path.stat().st_mtime for path in (self.certificate, self.private_key))


class _WithPeer(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with the client's verified certificate in the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        peer = tls.getpeercert(binary_form=True) if tls else None
        self._extensions = {PEER: peer} if peer else {}

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = dict(self._extensions)


class _Server(uvicorn.Server):
    """A server that leaves signals to us: two may run in one process, and the last words come after it has ended."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(web: CatalogueWeb, sock: socket.socket, tls: WebTls, metrics: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `metrics`: where /metrics and the probes are answered without TLS."""
    context = tls.context()
    config = _config(web.app, http=_WithPeer, limit_concurrency=_CONNECTIONS)
    config.load()
    config.ssl = context

    async def run() -> None:
        server, beside = _Server(config), _Server(_config(_plain(web)))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
        tasks = [asyncio.create_task(_reload(context, tls)), asyncio.create_task(web.keep_audit())]
        if metrics:
            tasks.append(asyncio.create_task(beside.serve(sockets=[metrics])))
        await server.serve(sockets=[sock])
        beside.should_exit = True
        for task in tasks[:2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await web.write_audit()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        **options,
    )


def _plain(web: CatalogueWeb) -> ASGIApp:
    async def metrics(request: Request) -> Response:  # noqa: ARG001
        try:
            return Response(await web.measured(), media_type=CONTENT_TYPE)
        except ScenarioModelError as error:
            return PlainTextResponse(f"{error.what}\n", 503)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", web.readyz)]
    )


async def _reload(context: ssl.SSLContext, tls: WebTls) -> None:
    """New handshakes use the new certificate; connections that exist go on."""
    seen = tls.changed()
    while True:
        await asyncio.sleep(_RELOAD_SECONDS)
        try:
            now = tls.changed()
            if now == seen:
                continue
            # Of a pair that is being replaced, one half may be new: the next look finds both.
            tls.context()
            context.load_cert_chain(tls.certificate, tls.private_key, password="")
        except (InputError, OSError, ValueError):
            continue
        seen = now
        logs.info("server certificate read again")
