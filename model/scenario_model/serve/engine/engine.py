"""The engine: a thread that steps the model, and the interface for submitting requests."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

import torch

from scenario_model.serve.engine.active_request import ActiveRequest
from scenario_model.serve.engine.compiling import compile_meanwhile, compile_now
from scenario_model.serve.engine.cpu_share import CpuShare
from scenario_model.serve.engine.generation import QueuedGeneration, deliver
from scenario_model.serve.engine.idle_texts import IdleTexts, compute
from scenario_model.serve.engine.interface import (
    Delta,
    Drained,
    EngineFailed,
    EngineStatistics,
    EngineStopped,
    GenerationRequest,
    QueueFull,
    TextLoss,
)
from scenario_model.serve.engine.model import Model
from scenario_model.serve.engine.prompt_lookup import PromptLookup
from scenario_model.serve.engine.sampling import Sampler, sample
from scenario_model.serve.engine.scheduler import Chunk, Scheduler, Sequence
from scenario_model.serve.engine.text import TextStream
from scenario_model.serve.engine.throughput import Throughput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.serve.engine.settings import TorchSettings

_log = logging.getLogger(__name__)

# Between the answers of a batch and its clients' next requests, nobody asks either.
_QUIET_SECONDS = 0.2

_State = Literal["new", "running", "draining", "stopped", "failed"]


class Engine:
    """Serves requests on one model. Public methods are called from an event loop's thread."""

    def __init__(self, model_dir: Path, settings: TorchSettings, cache: Path | None = None) -> None:
        """Load the model (the caller has verified the release). `cache`: folder for compiled code.

        Raises InputError if the model or the settings do not fit this machine.
        """
        self._settings = settings
        self._cache_folder = cache
        self._scheduler = Scheduler(settings.max_sequences, settings.prefill_tokens)
        self._active: dict[Sequence, ActiveRequest] = {}
        self._cancelled: list[Sequence] = []
        self._idle_texts = IdleTexts()
        self._throughput = Throughput(settings.max_sequences)
        self._state: _State = "new"
        self._deadline: float | None = None
        # Guards everything above; held only for bookkeeping, never during a step of the model.
        self._lock = threading.Condition()
        loaded: Future[Model] = Future()
        self._thread = threading.Thread(
            target=self._live, args=(model_dir, loaded), name="engine", daemon=True
        )
        self._thread.start()
        self._model = loaded.result()
        # Whether new requests use drafts; may be changed at any time.
        self.lookup = settings.prompt_lookup == "on" or (
            settings.prompt_lookup == "auto" and self._model.weights == "int8"
        )
        self.tokenizer = self._model.tokenizer
        self.max_context = self._model.context

    def start(self) -> None:
        """Start accepting requests."""
        self._state = "running"
        if self._settings.compile == "auto":
            compiling = (self._model.compile, self._cache_folder)
            threading.Thread(target=compile_meanwhile, args=compiling, name="compile", daemon=True).start()

    async def submit(self, request: GenerationRequest) -> QueuedGeneration:
        """Accept a request.

        Raises QueueFull, EngineStopped, EngineFailed; InputError if prompt and answer exceed the context.
        """
        request.check(self._model.vocabulary, self.max_context)
        lookup = PromptLookup() if self.lookup else None
        sequence = Sequence(len(request.prompt), request.max_tokens, list(request.prompt), lookup=lookup)
        generation = QueuedGeneration(len(request.prompt), lambda: self._cancel(sequence))
        job = ActiveRequest(
            request=request,
            sequence=sequence,
            sampler=Sampler(request.temperature, request.top_p, request.seed),
            text=TextStream(self._model.decoder, request.stop),
            generation=generation,
        )
        with self._lock:
            if self._state == "failed":
                raise EngineFailed("the engine has failed")
            if self._state != "running":
                raise EngineStopped(f"the engine is not accepting requests: it is {self._state}")
            free = self._settings.max_sequences - len(self._scheduler.running)
            if len(self._scheduler.waiting) >= self._settings.max_waiting + free:
                raise QueueFull(self._seconds_of_queue())
            self._active[sequence] = job
            self._scheduler.add(sequence)
            self._lock.notify_all()
        return generation

    async def loss(self, ids: list[int]) -> TextLoss:
        """The nats of a text's tokens but the first, computed while nobody asks."""
        with self._lock:
            fits = 1 < len(ids) <= self.max_context and 0 <= min(ids) <= max(ids) < self._model.vocabulary
            if self._state != "running" or not fits:
                return TextLoss.none()
            future = self._idle_texts.add(ids)
            self._lock.notify_all()
        return await asyncio.wrap_future(future)

    def statistics(self) -> EngineStatistics:
        """Return a snapshot of counts and times."""
        with self._lock:
            pace = self._throughput
            return EngineStatistics(
                state=self._state,
                running=len(self._scheduler.running),
                waiting=len(self._scheduler.waiting),
                slots=self._settings.max_sequences,
                tokens_prompt_total=pace.prompt_tokens,
                tokens_generated_total=pace.generated_tokens,
                steps_total=pace.steps,
                step_seconds_total=pace.step_seconds,
                drafts_total=pace.drafts,
                tokens_drafted_total=pace.drafted_tokens,
                tokens_accepted_total=pace.accepted_tokens,
                last_step_seconds=pace.last_step_seconds,
                seconds_since_step=time.monotonic() - pace.last_step_at,
                cache_bytes=self._model.cache_bytes,
                cache_usage=self._cached() / (self._settings.max_sequences * self.max_context),
            )

    async def drain(self, seconds: float) -> None:
        """Accept no new requests and finish accepted ones; those left after `seconds` are aborted."""
        with self._lock:
            if self._state in {"new", "running"}:
                self._state = "draining"
            self._deadline = time.monotonic() + seconds
            self._lock.notify_all()
            started = self._thread.is_alive()
        if started:
            await asyncio.to_thread(self._thread.join)

    def stop(self) -> None:
        """Stop at once: unfinished requests raise EngineStopped. Returns when the thread has ended."""
        with self._lock:
            started = self._thread.is_alive()
            if self._state != "failed":
                self._state = "stopped"
            self._lock.notify_all()
        if started:
            self._thread.join()

    def _live(self, model_dir: Path, loaded: Future[Model]) -> None:
        """Load and run the model, all in one thread.

        Each computing thread has a team of OpenMP threads. With two teams there would be more threads than
        cores, and OpenMP would let them sleep between operations, which costs a third of the speed or more.
        """
        try:
            if self._settings.threads:
                torch.set_num_threads(self._settings.threads)
            model = Model(model_dir, self._settings)
            if self._settings.compile == "on":
                compile_now(model.compile, self._cache_folder)
        except BaseException as error:  # noqa: BLE001 - re-raised in the waiting thread
            loaded.set_exception(error)
            return
        loaded.set_result(model)
        self._work(model)

    def _cancel(self, sequence: Sequence) -> None:
        with self._lock:
            if sequence.slot < 0:
                self._forget(sequence)
            else:  # it may be in the middle of a step
                self._cancelled.append(sequence)
            self._lock.notify_all()

    def _work(self, model: Model) -> None:
        """Step until stopped or drained; any error ends every request with an error."""
        share = CpuShare(torch.get_num_threads())
        try:
            while (chunks := self._next_chunks()) is not None:
                if not chunks:
                    self._compute_idle_text(model)
                    continue
                started = time.monotonic()
                if share.update() != torch.get_num_threads():
                    torch.set_num_threads(share.threads)
                sampling = [chunk for chunk in chunks if chunk.samples]
                samplers = [self._active[chunk.sequence].sampler for chunk in sampling]
                tokens = sample(model.step(chunks), samplers, [chunk.draft for chunk in sampling])
                self._finish_step(chunks, tokens, time.monotonic() - started)
        except Exception as error:  # noqa: BLE001 - waiting clients must be notified of any error
            _log.exception("a step of the model failed")
            failure = f"a step of the model failed ({type(error).__name__})"
            self._end("failed", lambda: EngineFailed(failure))
        else:
            self._end("stopped", self._ending)

    def _compute_idle_text(self, model: Model) -> None:
        with self._lock:
            text = self._idle_texts.next()
        if text:
            ids, future = text
            try:
                future.set_result(compute(model, ids, self._is_wanted))
            except BaseException as error:
                future.set_exception(error)
                raise

    def _is_wanted(self) -> bool:
        return bool(self._scheduler.waiting) or self._state != "running"

    def _next_chunks(self) -> list[Chunk] | None:
        """Wait for work. None means: stop; nothing: that only a text without a request waits."""
        with self._lock:
            while True:
                for sequence in self._cancelled:
                    self._forget(sequence)
                self._cancelled.clear()
                if self._state == "stopped" or self._overdue():
                    return None
                if chunks := self._scheduler.plan():
                    return chunks
                if self._state == "draining":
                    return None
                quiet = time.monotonic() - self._throughput.last_step_at
                if self._idle_texts and quiet >= _QUIET_SECONDS:
                    return []
                self._lock.wait(_QUIET_SECONDS - quiet if self._idle_texts else None)

    def _finish_step(self, chunks: list[Chunk], answers: list[list[int]], seconds: float) -> None:
        """Record the step's results, and notify the requests' readers."""
        news: list[tuple[QueuedGeneration, Delta | BaseException]] = []
        with self._lock:
            self._scheduler.computed(chunks)
            self._throughput.note(sum(c.length for c in chunks if not c.sequence.generated), seconds)
            for chunk, tokens in zip((c for c in chunks if c.samples), answers, strict=True):
                job = self._active[chunk.sequence]
                before = job.sequence.generated
                piece = job.take(chunk, tokens, self._model.end_tokens)
                self._throughput.note_tokens(
                    job.sequence.generated - before, len(chunk.draft), len(tokens) - 1
                )
                news.append((job.generation, piece))
                if not isinstance(piece, Delta) or piece.finish_reason:
                    self._throughput.note_end(job.steps)
                    self._forget(job.sequence)
        deliver(news)

    def _seconds_of_queue(self) -> float:
        """How long the requests here will take: a new one would have to wait for them."""
        running, waiting = self._scheduler.running, self._scheduler.waiting
        unread = sum(s.prompt_length - min(s.cached, s.prompt_length) for s in (*running, *waiting))
        return self._throughput.seconds_of_queue(
            [(self._active[s].steps, s.max_tokens - s.generated) for s in running],
            [s.max_tokens for s in waiting],
            unread / self._settings.prefill_tokens,
        )

    def _cached(self) -> int:
        return sum(sequence.cached for sequence in self._scheduler.running)

    def _forget(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence)
        self._active.pop(sequence, None)

    def _overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _ending(self) -> BaseException:
        """The error that ends an unfinished request when the engine stops."""
        if not self._overdue():
            return EngineStopped("the engine was stopped")
        return Drained("the server was shut down before the answer was complete", remedy="ask again")

    def _end(self, state: _State, how: Callable[[], BaseException]) -> None:
        with self._lock:
            self._state = state
            self._idle_texts.give_up()
            news = [(job.generation, how()) for job in self._active.values()]
            for sequence in list(self._active):
                self._forget(sequence)
        deliver(news)
