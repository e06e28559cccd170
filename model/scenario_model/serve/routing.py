"""Routing to the cloud: which requests may leave the site, which do, and what they bring back.

A request leaves only if its data class allows it and the site cannot take it now. The site computes it if the cloud
does not answer, so a request does not fail because of the cloud; a stream that the cloud
has begun and breaks off ends with an error event. What crosses is made from the parameters that were
read: no header, key or field that the API ignores leaves with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.exchange.audit import AuditLog
from scenario_model.exchange.contract import REQUESTS, Crossing
from scenario_model.serve import logs
from scenario_model.serve.crossing import (
    Received,
    is_compressed,
    request_that_crosses,
    send_whole,
    whole_answer,
)
from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.serve.request_body import Disconnected
from scenario_model.serve.settings import LOCAL, MAY_LEAVE
from scenario_model.serve.sse import WholeLines
from scenario_model.serve.waking import Waker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from starlette.types import Receive, Send

    from scenario_model.serve.engine.interface import EngineStatistics
    from scenario_model.serve.parameters import ChatParameters, CompletionParameters
    from scenario_model.serve.request_log import Call
    from scenario_model.serve.settings import ApiKeys, LocalFirst

HEADER = b"x-data-class"
_STREAMED = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
# After a failure: requests that wait in the site's queue do not wait for the cloud first.
_PAUSE_SECONDS = 10.0
# An answer may take minutes to begin, during which a cut line looks like a slow cloud, but for the kernel's probes.
_NOTICES_A_DEAD_LINE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
]
_BROKEN = "The cloud broke off this answer; ask again."
_DRAINED = "The server is shutting down and could not complete this answer; ask again."
# Refusals that are about one request; any other concerns the next one too.
_ABOUT_ONE_REQUEST = (400, 404, 413, 422)


class CloudRoute:
    """The way to the hosted endpoint."""

    def __init__(self, settings: LocalFirst, api_keys: ApiKeys) -> None:
        """Raises InputError if the key or the CA cannot be read."""
        self.spill_at = settings.spill_at
        self._classes = {key.id: key.data_class for key in api_keys.keys}
        self._audit, self._peer = AuditLog(settings.audit), urlsplit(settings.url).netloc
        try:
            key = settings.api_key.read_text(encoding="ascii").strip()
            context = ssl.create_default_context(cafile=settings.authority)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be used for the route to the cloud: {error}", where="route") from None
        self._open_at, self._entering = 0.0, 0
        self._deadline: float | None = None
        self._under_way: set[asyncio.Timeout] = set()
        self._client = httpx2.AsyncClient(
            base_url=settings.url,
            # Pieces are passed on as they come, without the header that would say how they are compressed.
            headers={
                "authorization": f"Bearer {key}",
                "content-type": "application/json",
                "accept-encoding": "identity",
            },
            transport=httpx2.AsyncHTTPTransport(
                verify=context,
                # The listener bounds connections already; a second bound would make requests wait in neither queue.
                limits=httpx2.Limits(max_connections=None),
                trust_env=False,
                socket_options=_NOTICES_A_DEAD_LINE,
            ),
            timeout=httpx2.Timeout(settings.answer_seconds, connect=settings.connect_seconds),
            trust_env=False,
        )
        self._waker: Waker | None = None
        if settings.wake:
            self._waker = Waker(settings.wake, self._client, self._note_wish, self._reopen)

    @contextlib.contextmanager
    def entering(self) -> Iterator[None]:
        """Count a request on its way into the site's queue: of many that come at once, none would be seen there yet."""
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1

    def is_needed(self, now: EngineStatistics) -> bool:
        """Whether the site's queue is so long, or about to be, that further requests may leave."""
        return now.running + now.waiting + self._entering - now.slots >= self.spill_at and self.is_open

    @property
    def is_open(self) -> bool:
        """Whether the cloud is worth asking: not right after it did not answer, nor while it starts."""
        return time.monotonic() >= self._open_at and not self.is_waking

    @property
    def is_waking(self) -> bool:
        """Whether the endpoint starts: a request that the site cannot answer is held meanwhile."""
        return self._waker is not None and self._waker.is_waking

    def may_leave(self, headers: Sequence[tuple[bytes, bytes]], key: str) -> bool:
        """Whether a request's text may leave the site: by its header, else by its key; by default it may not.

        A key whose class is `local` stays local whatever the header says. Raises ApiError 400 for an unknown class.
        """
        told = [value.decode("latin-1").strip().lower() for name, value in headers if name == HEADER]
        if len(told) > 1 or not set(told) <= {LOCAL, MAY_LEAVE}:
            raise bad_request(
                f"'X-Data-Class' must be '{LOCAL}' or '{MAY_LEAVE}'.", code="invalid_data_class"
            )
        mine = self._classes.get(key)
        if mine == LOCAL:
            return False
        return (told[0] if told else mine or LOCAL) == MAY_LEAVE

    async def answer(
        self,
        wanted: ChatParameters | CompletionParameters,
        call: Call,
        receive: Receive,
        send: Send,
        *,
        patient: bool = False,
    ) -> bool:
        """Let the cloud answer; False if it does not, and nothing was sent to the client yet.

        If `patient`, an endpoint that starts is waited for. Raises Disconnected if the client leaves, ApiError if the
        cloud breaks off in a stream.
        """
        received = Received()
        work = asyncio.create_task(self._when_open(wanted, received, call, send, patient=patient))
        watch = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            # After the last piece, the end of the request is no departure of the client.
            if not work.done() and not received.complete:
                raise Disconnected
            return await work
        finally:
            for task in (work, watch):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    def drain(self, seconds: float) -> None:
        """Answers of the cloud that are not complete by then end as the engine's own do."""
        self._deadline = asyncio.get_running_loop().time() + seconds
        for each in self._under_way:
            each.reschedule(self._deadline)

    @contextlib.asynccontextmanager
    async def _until_drained(self) -> AsyncIterator[None]:
        async with asyncio.timeout_at(self._deadline) as limit:
            self._under_way.add(limit)
            try:
                yield
            finally:
                self._under_way.discard(limit)

    async def close(self) -> None:
        """Close the connections."""
        if self._waker:
            await self._waker.close()
        await self._client.aclose()

    async def _when_open(
        self,
        wanted: ChatParameters | CompletionParameters,
        received: Received,
        call: Call,
        send: Send,
        *,
        patient: bool,
    ) -> bool:
        if self.is_open and await self._answer(wanted, received, call, send):
            return True
        # What it has refused it would refuse again.
        if not (patient and self._waker and self.is_waking) or received.complete:
            return False
        with contextlib.suppress(TimeoutError):
            async with self._until_drained():
                if not await self._waker.awake():
                    return False
            return await self._answer(wanted, received, call, send)
        return False

    async def _answer(
        self,
        wanted: ChatParameters | CompletionParameters,
        received: Received,
        call: Call,
        send: Send,
    ) -> bool:
        path, content = request_that_crosses(wanted)
        try:
            # Before it leaves: what cannot be noted does not cross.
            await self._note("request", len(content), hashlib.sha256(content).hexdigest())
            request = self._client.build_request("POST", path, content=content)
            async with self._until_drained():
                response = await self._client.send(request, stream=True)
        except (httpx2.HTTPError, ScenarioModelError, TimeoutError) as error:
            logs.info("the cloud does not answer", request_id=call.request_id, reason=type(error).__name__)
            self._pause()
            if self._waker:
                self._waker.begin()
            return False
        try:
            if response.status_code != 200 or is_compressed(response):
                logs.info("the cloud refuses", request_id=call.request_id, status=response.status_code)
                if response.status_code not in _ABOUT_ONE_REQUEST:
                    self._pause()
                return False
            call.computed_at, call.release = "cloud", response.headers.get("x-release", "")
            if wanted.stream:
                await self._pass_on(response, received, send)
                return True
            whole = None
            with contextlib.suppress(TimeoutError):
                async with self._until_drained():
                    whole = await whole_answer(response, received, call)
            if whole is None:
                return _not_this(call)
            await self._note_answer(received)
            await send_whole(whole, send)
            return True
        finally:
            await self._note_answer(received)
            await response.aclose()

    def _pause(self) -> None:
        self._open_at = time.monotonic() + _PAUSE_SECONDS

    def _reopen(self) -> None:
        self._open_at = 0.0

    async def _pass_on(self, response: httpx2.Response, received: Received, send: Send) -> None:
        """Pass a stream on, piece by piece. If the cloud breaks off, an error event ends it."""
        await send({"type": "http.response.start", "status": 200, "headers": _STREAMED})
        lines = WholeLines()
        try:
            async with self._until_drained():
                async for piece in response.aiter_raw():
                    received.add(piece)
                    if whole := lines.add(piece):
                        await send({"type": "http.response.body", "body": whole, "more_body": True})
        except (httpx2.HTTPError, TimeoutError) as error:
            why = _DRAINED if isinstance(error, TimeoutError) else _BROKEN
            event = lines.closing(ApiError(503, why, code="unavailable").body)
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await self._note_answer(received)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _note_answer(self, received: Received) -> None:
        """Note what came back, once: before the client has all of it, or when it leaves."""
        if not received.complete:
            received.complete = True
            with contextlib.suppress(ScenarioModelError):
                await self._note("answer", received.size, received.digest)

    async def _note_wish(self) -> None:
        await self._note("wake", 0, hashlib.sha256().hexdigest())

    async def _note(self, kind: str, size: int, digest: str) -> None:
        crossing = Crossing(time.time(), REQUESTS[kind], kind, size, self._peer, digest)
        await asyncio.to_thread(self._audit.record, crossing)


def _not_this(call: Call) -> bool:
    call.computed_at = call.release = ""
    return False


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
