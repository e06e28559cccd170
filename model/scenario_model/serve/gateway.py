"""The HTTP application: common request handling, and the endpoints.

Only `/healthz` and `/readyz` answer without a key. Every other path, known or not, needs one: an allowlist.
That includes `/metrics` (Prometheus sends a key with its `authorization` setting): behind a proxy on the same
host, every client would come from loopback.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from email.utils import formatdate
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router

from scenario_model.serve import logs
from scenario_model.serve.access import Keyring, RateLimiter
from scenario_model.serve.beside import Beside
from scenario_model.serve.completions import Completions
from scenario_model.serve.cors import Cors
from scenario_model.serve.errors import ApiError
from scenario_model.serve.generation_request import check_model
from scenario_model.serve.metrics import Metrics
from scenario_model.serve.parameters import known_parameter
from scenario_model.serve.request_body import Disconnected
from scenario_model.serve.request_log import Call
from scenario_model.serve.status import PATH as _STATUS
from scenario_model.serve.status import bearer_of
from scenario_model.serve.turns import Pace, Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from scenario_model.serve.service import Service
    from scenario_model.serve.settings import ApiKeys, Limits

OPEN_PATHS = ("/healthz", "/readyz")
# Our listener's extension of the ASGI scope to abort a connection at once.
ABORT = "scenario_model.abort"
_COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
# What a client calls the session that a request belongs to.
_SESSION, _SESSION_LENGTH = b"x-session-id", 256
_FEEDBACK = "/v1/feedback"
_PATHS = (*OPEN_PATHS, "/metrics", "/v1/models", *_COMPLETIONS, _FEEDBACK, _STATUS)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Gateway:
    """The ASGI application: assigns an id to, authenticates, dispatches, logs and counts every request."""

    def __init__(
        self,
        service: Service,
        api_keys: ApiKeys,
        limits: Limits,
        origins: Sequence[str] = (),
        beside: Beside | None = None,
    ) -> None:
        """`origins`: web pages that may call the API from a browser. `beside`: what else it has."""
        self._beside = beside or Beside()
        self._service, self._limits, self.cors = service, limits, Cors(origins)
        self._keyring = Keyring(api_keys)
        self.metrics = Metrics(service)
        self._in_flight = 0
        self._idle = asyncio.Event()
        limiter = RateLimiter(limits, self._keyring.names)
        self._pace = Pace()
        turns = Turns(self._keyring.names, limits.waiting_prompts)
        chat = Completions(service, self.metrics, limiter, turns, limits, self._beside, chat=True)
        completion = Completions(service, self.metrics, limiter, turns, limits, self._beside, chat=False)
        feedback = self._beside.feedback
        self._router = Router(
            [
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
                Route("/v1/models", self._models),
                Route("/v1/models/{model:path}", self._model),
                Route("/v1/chat/completions", chat, methods=["POST"]),
                Route("/v1/completions", completion, methods=["POST"]),
                *([Route(_FEEDBACK, feedback, methods=["POST"])] if feedback else []),
                *([Route(_STATUS, self._beside.status.__call__)] if self._beside.status else []),
            ],
            redirect_slashes=False,
            default=_not_found,
        )

    async def idle(self) -> None:
        """Wait until no request is in progress."""
        while self._in_flight:
            self._idle.clear()
            await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; it is always logged and counted exactly once."""
        if scope["type"] != "http":
            raise RuntimeError("WebSocket and lifespan events are not supported")
        call = _call(scope)
        cors = self.cors.headers(scope)
        exchange = _Exchange(scope, receive, send, call, self._service, self._limits, cors)
        scope["state"] = {"call": call}
        # Makes the router raise for a wrong method instead of answering in plain text.
        scope["app"] = self
        self._in_flight += 1
        try:
            await self._answer(scope, exchange, call)
        finally:
            self._in_flight -= 1
            self._idle.set()
            self._record(call)

    async def _answer(self, scope: Scope, exchange: _Exchange, call: Call) -> None:
        try:
            if (allowed := self.cors.preflight(scope)) is not None:
                # A browser sends it without the key; it is told what it may send, and nothing else.
                await exchange.empty(allowed)
                return
            if scope["path"] not in OPEN_PATHS:
                browser = scope["path"] == _STATUS
                call.key = self._keyring.identify(
                    bearer_of(scope["headers"]) if browser else scope["headers"]
                )
            await self._router(scope, exchange.receive, exchange.send)
        except ApiError as error:
            if error.status == 401 and scope["path"] == _STATUS:
                error.challenge = 'Basic realm="status", charset="UTF-8"'
            # Those without a key share one pace: only their refusals wait for each other.
            await self._pace.hold(call.key or "")
            await exchange.refuse(error)
        except HTTPException as error:
            await exchange.refuse(_by_router(error))
        except Disconnected:
            call.error = call.error or "client_disconnected"
        except Exception:  # noqa: BLE001  (last resort: the server continues, the client gets a 500)
            logs.exception("internal error", request_id=call.request_id)
            await exchange.refuse(ApiError(500, f"Internal error; see the log for {call.request_id}."))

    def _record(self, call: Call) -> None:
        status = call.status or 499
        self.metrics.http(call.handler, call.method, status)
        if call.handler in _COMPLETIONS and call.computed_at != "cloud":
            self._note_end(call, status)
        if call.error is not None:
            self.metrics.refused_request(status, call.error, call.param)
        # Probes and scrapes come every few seconds and are not worth logging.
        if call.handler not in (*OPEN_PATHS, "/metrics"):
            logs.info("request", **call.fields(), release=call.release or self._service.release)

    def _note_end(self, call: Call, status: int) -> None:
        if self._beside.observer:
            lengths = (call.prompt_tokens, call.completion_tokens)
            self._beside.observer.end(status, call.first_token_ms, *lengths)
        if self._beside.canary:
            self._beside.canary.ended(call.arm, call, status)

    async def _healthz(self, request: Request) -> Response:  # noqa: ARG002
        return PlainTextResponse("alive\n")

    async def _readyz(self, request: Request) -> Response:  # noqa: ARG002
        reason = self._service.not_ready()
        return PlainTextResponse(
            "ready\n" if reason is None else f"{reason}\n", 200 if reason is None else 503
        )

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _models(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse({"object": "list", "data": [self._describe()]})

    async def _model(self, request: Request) -> Response:
        check_model(self._service, request.path_params["model"])
        return JSONResponse(self._describe())

    def _describe(self) -> dict[str, object]:
        engine = self._service.engine
        return {
            "id": self._service.name,
            "object": "model",
            "created": self._service.created,
            "owned_by": "scenario-model",
            "root": self._service.release,
            "max_model_len": None if engine is None else engine.max_context,
        }


class _Exchange:
    """Wraps one request and its answer: adds our headers, disconnects a reader that stalls."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        call: Call,
        service: Service,
        limits: Limits,
        more: list[tuple[bytes, bytes]],
    ) -> None:
        """`more`: headers of the answer besides ours."""
        self._scope, self._receive, self._send = scope, receive, send
        self._call, self._service, self._limits, self._more = call, service, limits, more
        names = {name for name, value in scope["headers"] if value != b"0"}
        self._body_pending = bool(names & {b"content-length", b"transfer-encoding"})

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_pending = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._call.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self._headers()]}
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                await self._send(message)
        except TimeoutError:
            self._call.error = "reader_stalled"
            self._cut()
            raise Disconnected from None

    async def empty(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Answer with headers alone."""
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def refuse(self, error: ApiError) -> None:
        """Answer with an error; if the answer has already started, abort the connection."""
        self._call.error, self._call.param = error.reason, known_parameter(error.param)
        if self._call.status is not None:
            self._cut()
            return
        response = JSONResponse(error.body, error.status, error.headers)
        try:
            await response(self._scope, self.receive, self.send)
        except Disconnected:
            return

    def _cut(self) -> None:
        extension = self._scope.get("extensions", {}).get(ABORT)
        if extension is not None:
            extension["abort"]()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"date", formatdate(usegmt=True).encode()),
            (b"x-request-id", self._call.request_id.encode()),
            (b"x-release", (self._call.release or self._service.release).encode()),
            *([(b"x-computed-at", self._call.computed_at.encode())] if self._call.computed_at else []),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *self._more,
        ]
        # The rest of an unread body would be parsed as the next request's head.
        if self._body_pending or self._service.leaving or self._service.draining:
            headers.append((b"connection", b"close"))
        return headers


def _call(scope: Scope) -> Call:
    path = "/v1/models/{model}" if scope["path"].startswith("/v1/models/") else scope["path"]
    asked = [value for name, value in scope["headers"] if name == b"x-request-id"]
    sessions = [value.decode("latin-1") for name, value in scope["headers"] if name == _SESSION]
    sane = len(asked) == 1 and re.fullmatch(rb"[A-Za-z0-9_.-]{1,64}", asked[0])
    return Call(
        request_id=asked[0].decode() if sane else f"req_{secrets.token_hex(12)}",
        method=scope["method"] if scope["method"] in _METHODS else "other",
        # Anything else a client writes there may be a secret.
        handler=path if path in (*_PATHS, "/v1/models/{model}") else "other",
        session=sessions[0][:_SESSION_LENGTH] if sessions else "",
    )


def _by_router(error: HTTPException) -> ApiError:
    """A wrong method, with those that are right."""
    allowed = sorted(filter(None, (error.headers or {}).get("Allow", "").split(", ")))
    what = f"{error.detail}: use {' or '.join(allowed)}." if allowed else f"{error.detail}."
    code = "method_not_allowed" if error.status_code == 405 else None
    return ApiError(error.status_code, what, code=code, allow=", ".join(allowed))


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    raise ApiError(404, "Not found.", code="not_found")
