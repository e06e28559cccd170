"""Server lifecycle: listen, load, self-test, serve, drain, exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Never

import uvloop

from scenario_model.canary.judge import Outcome
from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.observe.observer import Observer
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from scenario_model.serve import logs
from scenario_model.serve.beside import Beside
from scenario_model.serve.canary import Canary
from scenario_model.serve.feedback import Feedback
from scenario_model.serve.following import names_another
from scenario_model.serve.gateway import Gateway
from scenario_model.serve.listener import Listener, certificate_end
from scenario_model.serve.losses import ComputesLoss, Losses
from scenario_model.serve.room import raise_descriptor_limit
from scenario_model.serve.routing import CloudRoute
from scenario_model.serve.service import RunningEngine, Service
from scenario_model.serve.status import StatusPage
from scenario_model.serve.vllm.settings import InstalledVllm

if TYPE_CHECKING:
    import socket
    import ssl
    from pathlib import Path

    from scenario_model.canary.judge import Arm
    from scenario_model.observe.kept_text import Decode
    from scenario_model.release.verify import VerifiedRelease
    from scenario_model.serve.feedback import Rating
    from scenario_model.serve.settings import ApiKeys, ServeSettings

# After the drain's deadline: time for final data to reach clients, then for new requests to get 503. Data that
# is ready earlier has until the deadline.
_FLUSH_SECONDS = 1.0
_LINGER_SECONDS = 0.2
# In which a client's next request comes on a connection that it keeps, and learns that it is the last.
_GRACE_SECONDS = 1.0
_WATCH_SECONDS = 1.0

Announce = Callable[[float], None]


def run(
    settings: ServeSettings,
    api_keys: ApiKeys,
    release: VerifiedRelease,
    sock: socket.socket,
    context: ssl.SSLContext,
    announce: Announce,
    *,
    kept: bool = False,
    waits: bool = False,
) -> socket.socket | None:
    """Serve until SIGTERM or SIGINT; then drain and return. A second signal ends the process at once.

    Returns the socket if another release is to be served on it.

    announce is called once the server is ready, with the seconds it took. kept: the socket outlives this process,
    so new connections are left to the next one. waits: requests do, while the model loads. Raises
    ScenarioModelError if the engine cannot load or fails.
    """
    server = _Server(settings, api_keys, release, kept=kept, waits=waits)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sock, context, announce))
    return server.next_socket


class _Server:
    def __init__(
        self,
        settings: ServeSettings,
        api_keys: ApiKeys,
        release: VerifiedRelease,
        *,
        kept: bool,
        waits: bool,
    ) -> None:
        self._kept = kept
        self.next_socket: socket.socket | None = None
        self._settings, self._release = settings, release
        self._service = Service(release.name, release.id, settings.limits.waiting_prompts, alone=waits)
        self._route = CloudRoute(settings.route, api_keys) if settings.route else None
        here = settings.observation
        self._observer = Observer(here, release.id, release.directory, logs.info) if here else None
        self._canary = self._canary_of(settings)
        self._losses = (
            Losses(here.loss_share, self._observer.loss_of_prompt, self._canary)
            if here and here.loss_share and self._observer
            else None
        )
        beside = Beside(
            route=self._route,
            observer=self._observer,
            canary=self._canary,
            losses=self._losses,
            feedback=Feedback(settings.limits, self._rated),
            status=StatusPage(settings, release.id, self._observer) if self._observer else None,
        )
        self._gateway = Gateway(self._service, api_keys, settings.limits, settings.cors_origins, beside)
        self._listener = Listener(
            self._gateway, settings.limits, self._service.release, raise_descriptor_limit()
        )
        self._gateway.metrics.certificate_ends(certificate_end(settings.tls))
        if settings.metrics:
            self._gateway.metrics.listen(settings.metrics)
        if self._observer:
            self._gateway.metrics.observe(self._observer)
        self._stop = asyncio.Event()
        self._loading = True
        self._ending: asyncio.Task[None] | None = None
        self._watching: list[asyncio.Task[None]] = []

    async def serve(self, sock: socket.socket, context: ssl.SSLContext, announce: Announce) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        # Listen before the model is loaded: clients get 503 with Retry-After instead of no connection.
        await self._listener.start(sock, context)
        logs.info("loading the model", release=self._service.release)
        engine = await self._loaded(loop)
        engine.start()
        try:
            await self._service.attach(engine)
            self._loading = False
            self._service.alone = self._kept
            seconds = time.monotonic() - began
            logs.info("ready", release=self._service.release, seconds=round(seconds, 1))
            announce(seconds)
            if self._observer:
                self._observer.start(_decoder(engine))
            if self._canary:
                self._watching.append(loop.create_task(self._canary.watch()))
            if self._losses and isinstance(engine, ComputesLoss):
                self._watching.append(loop.create_task(self._losses.watch(engine)))
            await self._watch(engine, sock)
            await self._drain(engine)
        finally:
            engine.stop()
            for task in self._watching:
                task.cancel()
            if self._canary:
                await self._canary.close()
            if self._observer:
                self._observer.stop()
            await self._listener.close()
            if self._route:
                await self._route.close()

    def _canary_of(self, settings: ServeSettings) -> Canary | None:
        if settings.canary is None:
            return None
        if isinstance(settings.engine, InstalledVllm):
            raise InputError(
                "vLLM takes the whole GPU, so that no second release fits beside the one that is served",
                where="canary",
                remedy="set canary: null",
            )

        def load(release: str) -> RunningEngine:
            store = open_store(settings.store)
            return _load_verified(
                verify_release(store.fetch(release), settings.verification_key, release), settings
            )

        return Canary(settings.canary, self._service.release, load)

    def _rated(self, arm: Arm, rating: Rating) -> None:
        if self._canary:
            self._canary.outcome(arm, Outcome(bad=rating == "bad"))
        if self._observer:
            self._observer.rated(rating)

    async def _loaded(self, loop: asyncio.AbstractEventLoop) -> RunningEngine:
        try:
            return await loop.run_in_executor(None, self._load)
        except BaseException:
            await self._refuse_those_that_wait()
            raise

    async def _refuse_those_that_wait(self) -> None:
        """Requests that wait for the model get their 503 before the process ends."""
        self._service.give_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._gateway.idle()
        await asyncio.sleep(_LINGER_SECONDS)

    def _load(self) -> RunningEngine:
        return _load_verified(self._release, self._settings)

    async def _watch(self, engine: RunningEngine, sock: socket.socket) -> None:
        """Wait for a signal. Raises ScenarioModelError if the engine fails: a supervisor then restarts the server."""
        while not self._stop.is_set():
            if engine.statistics().state == "failed":
                raise ScenarioModelError("the engine failed", remedy="see the log; restart the server")
            if names_another(self._settings.follow, self._service.release):
                logs.info("another release is to be served")
                # Its socket goes on, whoever else keeps it: this process begins anew with it.
                self.next_socket, self._service.alone = sock.dup(), True
                self._leave()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._stop.wait()

    async def _drain(self, engine: RunningEngine) -> None:
        began, seconds = time.monotonic(), self._settings.drain_seconds
        logs.info("draining", seconds=seconds)
        if self._service.alone:
            await self._listener.leave(_GRACE_SECONDS, seconds)
            self._service.draining = True
        if self._route:
            self._route.drain(max(0.0, began + seconds - time.monotonic()))
        await engine.drain(max(0.0, began + seconds - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(began + seconds - time.monotonic(), _FLUSH_SECONDS)):
                await self._gateway.idle()
        await asyncio.sleep(_LINGER_SECONDS)
        logs.info("drained", seconds=round(time.monotonic() - began, 1))

    def _signalled(self, number: signal.Signals) -> None:
        again = self._stop.is_set()
        self._leave()
        if again:
            self._exit(number, 128 + number)
        if self._loading:
            # A loading thread cannot be interrupted.
            self._ending = asyncio.get_running_loop().create_task(self._refuse_those_that_wait())
            self._ending.add_done_callback(lambda _: self._exit(number, 0))

    def _exit(self, number: signal.Signals, code: int) -> Never:
        logs.info("exiting at once", signal=number.name)
        end(code)

    def _leave(self) -> None:
        self._service.leaving = True
        # Behind a balancer, what is refused goes to another server.
        self._service.draining = not self._service.alone
        self._stop.set()


def _decoder(engine: RunningEngine) -> Decode:
    """Text of token ids, without special tokens, in any thread: it changes nothing, and others go on meanwhile."""

    def decode(ids: Sequence[int]) -> str:
        return str(engine.tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=True))

    return decode


def _load_verified(release: VerifiedRelease, settings: ServeSettings) -> RunningEngine:
    engine = _load_engine(release.directory, settings)
    try:
        # No file may have been replaced between verification and loading.
        release.check_unchanged()
    except BaseException:
        engine.stop()
        raise
    return engine


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
