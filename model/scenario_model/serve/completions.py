"""`/v1/chat/completions` and `/v1/completions`: from a request to an answer, complete or streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from scenario_model.errors import InputError
from scenario_model.serve.engine.interface import (
    Drained,
    EngineFailed,
    EngineStopped,
    GenerationRequest,
    QueueFull,
)
from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.serve.parameters import ChatParameters, parse_chat, parse_completion, parse_json
from scenario_model.serve.request_body import Disconnected, read_body
from scenario_model.serve.responses import Answer
from scenario_model.serve.service import unavailable
from scenario_model.serve.sse import EventStream, cancelled_on_disconnect

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from scenario_model.serve.access import RateLimiter
    from scenario_model.serve.engine.interface import Delta, Generation
    from scenario_model.serve.metrics import Metrics
    from scenario_model.serve.parameters import CompletionParameters, Parameters
    from scenario_model.serve.prompts import PromptEncoder
    from scenario_model.serve.request_log import Call
    from scenario_model.serve.service import Service
    from scenario_model.serve.settings import Limits
    from scenario_model.serve.turns import Turn, Turns

# Default of OpenAI's completions endpoint.
_COMPLETION_TOKENS = 16


class Completions:
    """One of the two endpoints, as an ASGI application. Errors leave it as ApiError or Disconnected."""

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        limiter: RateLimiter,
        turns: Turns,
        limits: Limits,
        *,
        chat: bool,
    ) -> None:
        self._service, self._metrics, self._limits = service, metrics, limits
        self._limiter, self._turns = limiter, turns
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call: Call = scope["state"]["call"]
        self._service.require()
        self._limiter.admit(call.key or "")
        self._turns.check(call.key or "")
        body = await read_body(scope, receive, self._limits)
        async with self._turns.turn(call.key or "", len(body)) as turn:
            with turn.measured():
                wanted = self._read(body)
            generation = await self._submit(wanted, call, turn)
        answer = Answer(
            chat=self._chat,
            model=wanted.model,
            fingerprint=self._service.release.rpartition("@")[2],
            include_usage=wanted.include_usage,
        )
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
        check_model(self._service, wanted.model)
        return wanted

    async def _submit(
        self, wanted: ChatParameters | CompletionParameters, call: Call, turn: Turn
    ) -> Generation:
        engine, encoder = self._service.require()
        try:
            request = await _request(wanted, encoder, turn)
            call.prompt_tokens = len(request.prompt)
            return await engine.submit(request)
        except QueueFull as full:
            raise unavailable("The server is busy: the request queue is full.", full.retry_after_s) from None
        except (EngineStopped, EngineFailed):
            raise unavailable("The server is not accepting new requests.") from None
        except InputError as error:
            raise bad_request(str(error)) from None

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


def check_model(service: Service, wanted: str) -> None:
    """Accept the release's name, alone or with its digest. Raises ApiError 404 for any other."""
    if wanted not in (service.name, service.release):
        raise ApiError(
            404,
            f"The model '{wanted:.200}' does not exist here; use '{service.name}' ({service.release}).",
            code="model_not_found",
            param="model",
        )


async def _request(
    wanted: ChatParameters | CompletionParameters, encoder: PromptEncoder, turn: Turn
) -> GenerationRequest:
    if isinstance(wanted, ChatParameters):
        prompt, parameter, default = await encoder.chat(wanted.messages, turn.add), "messages", None
    else:
        prompt = await encoder.completion(wanted.prompt, turn.add)
        parameter, default = "prompt", _COMPLETION_TOKENS
    max_tokens = default if wanted.max_tokens is None else wanted.max_tokens
    return GenerationRequest(
        prompt=prompt, max_tokens=encoder.room(prompt, max_tokens, parameter), **_sampling(wanted)
    )


def _sampling(wanted: Parameters) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in ("temperature", "top_p", "seed", "stop", "ignore_eos")}
