"""The vLLM engine: implements the gateway's engine interface with vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING, Literal

import httpx2

from scenario_model.serve import logs
from scenario_model.serve.engine.interface import (
    Delta,
    EngineFailed,
    EngineStatistics,
    EngineStopped,
    GenerationRequest,
    QueueFull,
)
from scenario_model.serve.engine.throughput import LONGEST_WAIT, Expected
from scenario_model.serve.vllm.answer import Answer
from scenario_model.serve.vllm.process import BASE_URL, VllmProcess
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.serve.engine.generation import QueuedGeneration
    from scenario_model.serve.vllm.settings import InstalledVllm

_LOOK_SECONDS = 1.0
_CACHE_USAGE = re.compile(r"^vllm:kv_cache_usage_perc\{[^}]*\} (\S+)$", re.MULTILINE)
# Of an answer's duration from its first token, in seconds.
_FIRST_GUESS = 5.0

_State = Literal["new", "running", "draining", "stopped", "failed"]


class VllmEngine:
    """Serves requests with its own vLLM process. Public methods are called from the event loop's thread."""

    def __init__(self, model_dir: Path, settings: InstalledVllm, cache: Path | None = None) -> None:
        """Start vLLM and wait until it has loaded the model (which the caller has verified).

        Raises InputError if model or settings cannot be used, ScenarioModelError if vLLM exits.
        """
        self._settings = settings
        self._state: _State = "new"
        self._answers: set[Answer] = set()
        self._prompt_tokens = self._generated_tokens = 0
        self._last_token_at = time.monotonic()
        self._seconds = Expected(_FIRST_GUESS)
        self._cache_usage = 0.0
        self.tokenizer = load_tokenizer(model_dir)
        self._process = VllmProcess(model_dir, settings, cache)
        try:
            self.max_context = self._process.wait_until_up()
        except BaseException:
            self._process.stop()
            raise

    def start(self) -> None:
        """Start accepting requests."""
        transport = httpx2.AsyncHTTPTransport(
            uds=str(self._process.socket),
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        )
        # The first token may take as long as the queue; a dead process closes its connections.
        timeout = httpx2.Timeout(5, read=None)
        self._client = httpx2.AsyncClient(
            transport=transport, base_url=BASE_URL, timeout=timeout, trust_env=False
        )
        self._state = "running"
        self._looking = asyncio.create_task(self._look())

    async def submit(self, request: GenerationRequest) -> QueuedGeneration:
        """Accept a request.

        Raises QueueFull, EngineStopped, EngineFailed; InputError if prompt and answer exceed the context.
        """
        request.check(len(self.tokenizer), self.max_context)
        if (state := self._now()) == "failed":
            raise EngineFailed("vLLM has failed")
        if state != "running":
            raise EngineStopped(f"the engine is not accepting requests: it is {state}")
        if self._unfinished() - self._settings.max_sequences >= self._settings.max_waiting:
            raise QueueFull(self._seconds_of_queue())
        answer = Answer(self._client, request, self._note)
        self._prompt_tokens += len(request.prompt)
        self._answers.add(answer)
        answer.task.add_done_callback(lambda _: self._ended(answer))
        return answer.generation

    def statistics(self) -> EngineStatistics:
        """Return a snapshot. Requests beyond `max_sequences` are waiting; the cache usage may be a second old."""
        slots, unfinished = self._settings.max_sequences, self._unfinished()
        return EngineStatistics(
            state=self._now(),
            running=min(unfinished, slots),
            waiting=max(unfinished - slots, 0),
            slots=slots,
            tokens_prompt_total=self._prompt_tokens,
            tokens_generated_total=self._generated_tokens,
            drafts_total=0,
            tokens_drafted_total=0,
            tokens_accepted_total=0,
            steps_total=0,
            step_seconds_total=0.0,
            last_step_seconds=None,
            seconds_since_step=time.monotonic() - self._last_token_at,
            cache_bytes=0,
            cache_usage=self._cache_usage,
        )

    async def drain(self, seconds: float) -> None:
        """Accept no new requests and finish accepted ones; those left after `seconds` are aborted."""
        if self._state == "running":
            self._state = "draining"
        if tasks := [answer.task for answer in self._answers]:
            await asyncio.wait(tasks, timeout=seconds)
        cut = list(self._answers)
        for answer in cut:
            answer.cut()
        await asyncio.gather(*(answer.task for answer in cut), return_exceptions=True)
        if self._state == "draining":
            self._state = "stopped"
        self._looking.cancel()
        await self._client.aclose()

    def stop(self) -> None:
        """Stop vLLM at once; unfinished answers end with an error."""
        if self._now() != "failed":
            self._state = "stopped"
        self._process.stop()

    def _now(self) -> _State:
        """Return the state; a process that exited unexpectedly has failed."""
        if self._process.ended and self._state in {"new", "running", "draining"}:
            self._state = "failed"
        return self._state

    def _seconds_of_queue(self) -> float:
        """How long the requests here will take: a new one would have to wait for them."""
        now, slots = time.monotonic(), self._settings.max_sequences
        running = [now - answer.since for answer in self._answers if answer.since and not answer.finished]
        rounds = self._unfinished() / slots
        return min(max(1.0, rounds * self._seconds.size(running)), LONGEST_WAIT)

    def _unfinished(self) -> int:
        return sum(not answer.finished for answer in self._answers)

    def _note(self, delta: Delta) -> None:
        self._generated_tokens += delta.tokens
        self._last_token_at = time.monotonic()

    def _ended(self, answer: Answer) -> None:
        self._answers.discard(answer)
        if answer.finished and answer.since:
            self._seconds.ended(time.monotonic() - answer.since)

    async def _look(self) -> None:
        """Check vLLM's health every second: its HTTP server may survive its engine."""
        while self._now() in {"running", "draining"}:
            with contextlib.suppress(httpx2.TransportError):
                health = await self._client.get("/health", timeout=30)
                if health.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
                    self._state = "failed"
                    logs.info("vLLM reports that its engine has died")
                    return
                metrics = await self._client.get("/metrics", timeout=30)
                self._cache_usage = max(map(float, _CACHE_USAGE.findall(metrics.text)), default=0.0)
            await asyncio.sleep(_LOOK_SECONDS)
