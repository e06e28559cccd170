"""`/v1/chat/completions` and `/v1/completions`: from a request to an answer, complete or streamed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from scenario_model.canary.judge import Outcome
from scenario_model.serve.engine.interface import (
    Drained,
    EngineFailed,
    EngineStopped,
    GenerationRequest,
    QueueFull,
)
from scenario_model.serve.errors import ApiError
from scenario_model.serve.feedback import Rated
from scenario_model.serve.generation_request import check_model, refusals, request_of
from scenario_model.serve.parameters import ChatParameters, parse_chat, parse_completion, parse_json
from scenario_model.serve.request_body import Disconnected, read_body
from scenario_model.serve.responses import Answer
from scenario_model.serve.seats import Accepted, Seat
from scenario_model.serve.service import unavailable
from scenario_model.serve.sse import EventStream, cancelled_on_disconnect

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from scenario_model.serve.access import RateLimiter
    from scenario_model.serve.beside import Beside
    from scenario_model.serve.engine.interface import Delta, Generation
    from scenario_model.serve.metrics import Metrics
    from scenario_model.serve.parameters import CompletionParameters
    from scenario_model.serve.request_log import Call
    from scenario_model.serve.routing import CloudRoute
    from scenario_model.serve.service import Service
    from scenario_model.serve.settings import Limits
    from scenario_model.serve.turns import Turn, Turns

_PLACE_SECONDS = 0.1


class Completions:
    """One of the two endpoints, as an ASGI application. Errors leave it as ApiError or Disconnected."""

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        limiter: RateLimiter,
        turns: Turns,
        limits: Limits,
        beside: Beside,
        *,
        chat: bool,
    ) -> None:
        self._service, self._metrics, self._limits, self._beside = service, metrics, limits, beside
        self._route, self._limiter, self._turns = beside.route, limiter, turns
        self._running = Seat(service, "running")
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call: Call = scope["state"]["call"]
        async with contextlib.AsyncExitStack() as way_in:
            waited = await way_in.enter_async_context(self._service.entry())
            if self._route is None:
                self._service.require()
            self._limiter.admit(call.key or "")
            self._turns.check(call.key or "")
            body = await read_body(scope, receive, self._limits)
            async with self._turns.turn(call.key or "", len(body)) as turn:
                with turn.measured():
                    wanted = self._read(body)
                reason = self._reason_to_leave(wanted, call, scope)
                if reason == "queue":
                    # What the site would refuse does not leave either.
                    await self._checked(wanted, turn)
                if not reason:
                    with self._route.entering() if self._route else contextlib.nullcontext():
                        accepted = await self._submit(wanted, call, turn, patient=waited)
            if reason:
                # The cloud may take minutes; those who wait for the site are not to wait for it.
                await way_in.aclose()
                if await self._elsewhere(wanted, reason, call, receive, send):
                    return
                self._check_where_it_is(wanted.model)
                async with self._turns.turn(call.key or "", len(body)) as turn:
                    accepted = await self._submit(wanted, call, turn, patient=waited)
        call.computed_at = "site"
        self._metrics.computed(remote=False)
        if self._beside.observer:
            self._beside.observer.note(call.key or "", call.session, accepted.prompt)
        if self._beside.losses and accepted.seat.service.engine:
            self._beside.losses.note(accepted.prompt, accepted.seat.service.engine.tokenizer)
        try:
            await self._here(wanted, accepted, call, scope, receive, send)
        except ApiError:
            if call.arm == "running" or call.status is not None:
                raise
            # Nothing was sent yet: what the canary broke, the running release answers.
            self._failed(call)
            async with self._turns.turn(call.key or "", len(body)) as turn:
                accepted = await self._submit_to(self._running, wanted, call, turn, patient=waited)
            await self._here(wanted, accepted, call, scope, receive, send)

    async def _here(
        self,
        wanted: ChatParameters | CompletionParameters,
        accepted: Accepted,
        call: Call,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send what the engine generates."""
        generation = accepted.generation
        answer = Answer(
            chat=self._chat,
            model=wanted.model,
            fingerprint=accepted.seat.service.release.rpartition("@")[2],
            include_usage=wanted.include_usage,
        )
        if self._beside.feedback:
            self._beside.feedback.remember(answer.id, Rated(call.key or "", call.arm))
        try:
            async with cancelled_on_disconnect(generation, receive):
                if wanted.stream:
                    await self._stream(answer, generation, call, send)
                else:
                    await self._whole(answer, generation, call, scope, receive, send)
        finally:
            self._limiter.charge_tokens(call.key or "", call.prompt_tokens + call.completion_tokens)
            if call.finish_reason is None:
                call.ended("abort", self._metrics)

    def _read(self, body: bytes) -> ChatParameters | CompletionParameters:
        wanted: ChatParameters | CompletionParameters
        wanted = parse_chat(parse_json(body)) if self._chat else parse_completion(parse_json(body))
        if self._route is None:
            check_model(self._service, wanted.model)
        return wanted

    def _reason_to_leave(
        self, wanted: ChatParameters | CompletionParameters, call: Call, scope: Scope
    ) -> str:
        """Why the cloud is to answer; empty if the site is. Raises ApiError for what neither may or can."""
        if self._route is None:
            return ""
        may_leave = self._route.may_leave(scope["headers"], call.key or "")
        reason = self._need(wanted.model, self._route)
        if may_leave or not reason:
            return reason
        self._metrics.kept(reason)
        check_model(self._service, wanted.model)
        return ""

    def _need(self, model: str, route: CloudRoute) -> str:
        """Why the site cannot answer now; empty if it can, or if the cloud is not worth asking."""
        if model not in (self._service.name, self._service.release):
            return "model"
        if not (route.is_open or route.is_waking):
            return ""
        if self._service.not_ready() is not None or self._service.engine is None:
            return "loading"
        return "queue" if route.is_needed(self._service.engine.statistics()) else ""

    def _check_where_it_is(self, model: str) -> None:
        """Raises ApiError 404 for a model that is nowhere, 503 for one that may be in a cloud that does not answer."""
        elsewhere = model not in (self._service.name, self._service.release)
        if elsewhere and self._route and not self._route.is_open:
            raise unavailable(f"The model '{model:.200}' is not here, and the cloud does not answer.")
        check_model(self._service, model)

    async def _elsewhere(
        self,
        wanted: ChatParameters | CompletionParameters,
        reason: str,
        call: Call,
        receive: Receive,
        send: Send,
    ) -> bool:
        """Let the cloud answer; False if it does not, so that the site has to."""
        assert self._route  # noqa: S101 who else gives a reason
        self._metrics.spilled(reason)
        if not await self._route.answer(wanted, call, receive, send, patient=reason != "queue"):
            return False
        self._metrics.computed(remote=True)
        self._limiter.charge_tokens(call.key or "", call.prompt_tokens + call.completion_tokens)
        return True

    async def _submit(
        self, wanted: ChatParameters | CompletionParameters, call: Call, turn: Turn, *, patient: bool
    ) -> Accepted:
        """Queue a request, with the canary if it is one of its share and it takes it."""
        canary = self._beside.canary
        seat = canary.seat_for(wanted, call.key or "", call.session) if canary else None
        if seat:
            try:
                return await self._submit_to(seat, wanted, call, turn, patient=False)
            except ApiError as error:
                if error.status < 500:
                    raise
                self._failed(call)
        return await self._submit_to(self._running, wanted, call, turn, patient=patient)

    def _failed(self, call: Call) -> None:
        """Count a request that the canary did not answer; it begins anew."""
        assert self._beside.canary  # noqa: S101 who else has a seat of its own
        self._beside.canary.outcome("canary", Outcome(failed=True))
        call.begin_anew()

    async def _submit_to(
        self,
        seat: Seat,
        wanted: ChatParameters | CompletionParameters,
        call: Call,
        turn: Turn,
        *,
        patient: bool,
    ) -> Accepted:
        """Queue a request; if `patient`, wait for a place in the queue."""
        with refusals():
            engine, encoder = seat.service.require()
            request = await request_of(wanted, encoder, turn)
            call.prompt_tokens = len(request.prompt)
            call.arm, call.release = seat.arm, seat.service.release
            while True:
                try:
                    return Accepted(await engine.submit(request), request.prompt, seat)
                except QueueFull:
                    if not patient:
                        raise
                await asyncio.sleep(_PLACE_SECONDS)

    async def _checked(self, wanted: ChatParameters | CompletionParameters, turn: Turn) -> GenerationRequest:
        """The request as the engine takes it. Raises ApiError for what it would not."""
        _, encoder = self._service.require()
        with refusals():
            return await request_of(wanted, encoder, turn)

    async def _whole(
        self, answer: Answer, generation: Generation, call: Call, scope: Scope, receive: Receive, send: Send
    ) -> None:
        texts: list[str] = []
        try:
            async for delta in generation:
                self._account(call, delta)
                texts.append(delta.text)
        except (Drained, EngineFailed, EngineStopped) as error:
            raise self._broken(call, error) from None
        if call.finish_reason is None:
            raise Disconnected
        whole = answer.whole("".join(texts), call.finish_reason, call.prompt_tokens, call.completion_tokens)
        await JSONResponse(whole)(scope, receive, send)

    async def _stream(self, answer: Answer, generation: Generation, call: Call, send: Send) -> None:
        stream = EventStream(send)
        try:
            async with stream.kept_alive(self._limits.keep_alive_seconds):
                await self._pieces(answer, generation, call, stream)
        except (Drained, EngineFailed, EngineStopped) as error:
            broken = self._broken(call, error)
            if not stream.opened:
                raise broken from None
            await stream.event(broken.body)
            await stream.close()
            return
        if call.finish_reason is None:
            raise Disconnected
        await stream.event(answer.closing(call.finish_reason))
        if answer.include_usage:
            await stream.event(answer.accounts(call.prompt_tokens, call.completion_tokens))
        await stream.event("[DONE]")
        await stream.close()

    async def _pieces(self, answer: Answer, generation: Generation, call: Call, stream: EventStream) -> None:
        opening = answer.opening()
        async for delta in generation:
            self._account(call, delta)
            if opening is not None:
                await stream.event(opening)
                opening = None
            if delta.text:
                await stream.event(answer.piece(delta.text))

    def _account(self, call: Call, delta: Delta) -> None:
        call.produced(delta.tokens, self._metrics)
        if delta.finish_reason is not None:
            call.ended(delta.finish_reason, self._metrics)

    def _broken(self, call: Call, error: Drained | EngineFailed | EngineStopped) -> ApiError:
        if not isinstance(error, EngineFailed):
            call.ended("abort", self._metrics)
            return unavailable("The server is shutting down and could not complete this answer; ask again.")
        call.ended("error", self._metrics)
        return unavailable("The inference engine failed.")
