"""Server lifecycle: listen, load, self-test, serve, drain, exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Never, Protocol

import uvloop

from scenario_model.errors import ScenarioModelError
from scenario_model.serve import logs
from scenario_model.serve.gateway import Gateway
from scenario_model.serve.listener import Listener, certificate_end
from scenario_model.serve.room import raise_descriptor_limit
from scenario_model.serve.service import Service, TokenEngine
from scenario_model.serve.vllm.settings import InstalledVllm

if TYPE_CHECKING:
    import socket
    import ssl
    from pathlib import Path

    from scenario_model.release.verify import VerifiedRelease
    from scenario_model.serve.settings import ApiKeys, ServeSettings

# After the drain's deadline: time for final data to reach clients, then for new requests to get 503. Data that
# is ready earlier has until the deadline.
_FLUSH_SECONDS = 1.0
_LINGER_SECONDS = 0.2
_WATCH_SECONDS = 1.0

Announce = Callable[[float], None]


class RunningEngine(TokenEngine, Protocol):
    """The engine interface needed here, in addition to the gateway's."""

    def start(self) -> None:
        """Start accepting requests; called in the event loop."""

    async def drain(self, seconds: float) -> None:
        """Accept no new requests and finish accepted ones; those left after `seconds` are aborted."""

    def stop(self) -> None:
        """Stop at once."""


def run(
    settings: ServeSettings,
    api_keys: ApiKeys,
    release: VerifiedRelease,
    sock: socket.socket,
    context: ssl.SSLContext,
    announce: Announce,
) -> None:
    """Serve until SIGTERM or SIGINT; then drain and return. A second signal ends the process at once.

    announce is called once the server is ready, with the seconds it took. Raises ScenarioModelError if the
    engine cannot load or fails.
    """
    server = _Server(settings, api_keys, release)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sock, context, announce))


class _Server:
    def __init__(self, settings: ServeSettings, api_keys: ApiKeys, release: VerifiedRelease) -> None:
        self._settings, self._release = settings, release
        self._service = Service(release.name, release.id, settings.limits.waiting_prompts)
        self._gateway = Gateway(self._service, api_keys, settings.limits, settings.cors_origins)
        self._listener = Listener(
            self._gateway, settings.limits, self._service.release, raise_descriptor_limit()
        )
        self._gateway.metrics.certificate_ends(certificate_end(settings.tls))
        self._stop = asyncio.Event()
        self._loading = True

    async def serve(self, sock: socket.socket, context: ssl.SSLContext, announce: Announce) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        # Listen before the model is loaded: clients get 503 with Retry-After instead of no connection.
        await self._listener.start(sock, context)
        logs.info("loading the model", release=self._service.release)
        engine = await loop.run_in_executor(None, self._load)
        engine.start()
        try:
            await self._service.attach(engine)
            self._loading = False
            seconds = time.monotonic() - began
            logs.info("ready", release=self._service.release, seconds=round(seconds, 1))
            announce(seconds)
            await self._watch(engine)
            await self._drain(engine)
        finally:
            engine.stop()
            await self._listener.close()

    def _load(self) -> RunningEngine:
        engine = _load_engine(self._release.directory, self._settings)
        try:
            # No file may have been replaced between verification and loading.
            self._release.check_unchanged()
        except BaseException:
            engine.stop()
            raise
        return engine

    async def _watch(self, engine: RunningEngine) -> None:
        """Wait for a signal. Raises ScenarioModelError if the engine fails: a supervisor then restarts the server."""
        while not self._stop.is_set():
            if engine.statistics().state == "failed":
                raise ScenarioModelError("the engine failed", remedy="see the log; restart the server")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._stop.wait()

    async def _drain(self, engine: RunningEngine) -> None:
        began = time.monotonic()
        logs.info("draining", seconds=self._settings.drain_seconds)
        await engine.drain(self._settings.drain_seconds)
        left = began + self._settings.drain_seconds - time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(left, _FLUSH_SECONDS)):
                await self._gateway.idle()
        await asyncio.sleep(_LINGER_SECONDS)
        logs.info("drained", seconds=round(time.monotonic() - began, 1))

    def _signalled(self, number: signal.Signals) -> None:
        again = self._service.draining
        self._service.draining = True
        self._stop.set()
        if again or self._loading:
            # Nothing was accepted yet, or this is the second signal; a loading thread cannot be interrupted.
            logs.info("exiting at once", signal=number.name)
            end(128 + number if again else 0)


def _load_engine(model_dir: Path, settings: ServeSettings) -> RunningEngine:
    # Imported here, in the loading thread: torch takes seconds, and with vLLM it is not needed.
    from transformers.utils import logging as transformers_logging

    # Progress bars would garble the log.
    transformers_logging.disable_progress_bar()
    if isinstance(settings.engine, InstalledVllm):
        from scenario_model.serve.vllm.engine import VllmEngine

        return VllmEngine(model_dir, settings.engine, settings.cache)
    from scenario_model.serve.engine import Engine

    return Engine(model_dir, settings.engine, settings.cache)


def end(code: int) -> Never:
    """Exit the process now, whatever its threads and libraries are doing; the log is complete."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
