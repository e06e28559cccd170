"""A stand-in for the engine, for tests of HTTP behaviour alone."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any, ClassVar

from scenario_model.serve.engine.interface import (
    Delta,
    Drained,
    EngineStatistics,
    EngineStopped,
    GenerationRequest,
    QueueFull,
)


class StandInTokenizer:
    """One token a byte, none of them special."""

    chat_template = "written below"
    added_tokens_decoder: ClassVar[dict[int, Any]] = {}

    def __len__(self) -> int:
        return 256

    def __call__(self, text: str | list[str], **_: Any) -> dict[str, list[Any]]:
        texts = text if isinstance(text, list) else [text]
        ids = [list(each.encode()) for each in texts]
        # Where each starts is of no interest to a server.
        starts = [[(0, 0)] * len(each) for each in ids]
        whole: dict[str, list[Any]] = {"input_ids": ids, "offset_mapping": starts}
        return whole if isinstance(text, list) else {name: each[0] for name, each in whole.items()}

    def get_chat_template(self, **_: Any) -> str:
        return self.chat_template

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>"


class StandInEngine:
    """Speaks the engine's interface and computes nothing: answers spell the prompt's hash, a word a token."""

    def __init__(self, max_context: int = 4096, slots: int = 4, max_waiting: int = 4) -> None:
        self.tokenizer, self.max_context = StandInTokenizer(), max_context
        self.slots, self.max_waiting = slots, max_waiting
        self.step_seconds = 0.0
        self.word_length = 8
        self.natural_length = 6
        self.state: Any = "running"
        self.live: list[StandInGeneration] = []
        self.submitted: list[GenerationRequest] = []
        self.failure: Exception | None = None
        self._free = asyncio.Semaphore(slots)
        self.deadline = asyncio.Event()

    async def submit(self, request: GenerationRequest) -> StandInGeneration:
        if self.state != "running":
            raise EngineStopped("the engine takes no new work")
        if len(self.live) >= self.slots + self.max_waiting:
            raise QueueFull(2.0)
        self.submitted.append(request)
        generation = StandInGeneration(self, request)
        self.live.append(generation)
        return generation

    def statistics(self) -> EngineStatistics:
        running = sum(g.running for g in self.live)
        return EngineStatistics(
            state=self.state,
            running=running,
            waiting=len(self.live) - running,
            slots=self.slots,
            tokens_prompt_total=0,
            tokens_generated_total=0,
            drafts_total=2,
            tokens_drafted_total=7,
            tokens_accepted_total=5,
            steps_total=0,
            step_seconds_total=0.0,
            last_step_seconds=self.step_seconds,
            seconds_since_step=0.0,
            cache_bytes=0,
            cache_usage=running / self.slots / 2,
        )

    async def drain(self, seconds: float) -> None:
        self.state = "draining"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.live:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        self.deadline.set()

    async def work(self, generation: StandInGeneration) -> None:
        """Put the answer's words, or what ended it, into the generation's queue."""
        try:
            async with self._free:
                generation.running = True
                await self._words(generation)
        except Exception as error:  # noqa: BLE001  (whatever it is, who waits must hear of it)
            generation.queue.put_nowait(error)
        finally:
            generation.running = False
            self.live.remove(generation)
            generation.queue.put_nowait(None)

    async def _words(self, generation: StandInGeneration) -> None:
        request = generation.request
        count = request.max_tokens if request.ignore_eos else min(request.max_tokens, self.natural_length)
        for i in range(count):
            await asyncio.sleep(self.step_seconds)
            if self.failure is not None:
                raise self.failure
            if self.deadline.is_set():
                raise Drained("not complete")
            reason: Any = None
            if i == count - 1:
                reason = "length" if count == request.max_tokens else "stop"
            generation.queue.put_nowait(Delta(self.word(request.prompt, i), 1, reason))

    def word(self, prompt: tuple[int, ...], i: int) -> str:
        digest = hashlib.sha256(repr((prompt, i)).encode()).hexdigest()
        return (digest * (self.word_length // 64 + 1))[: self.word_length] + " "


class StandInGeneration:
    def __init__(self, engine: StandInEngine, request: GenerationRequest) -> None:
        self.request, self.running = request, False
        self.prompt_tokens = len(request.prompt)
        self.queue: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()
        self._task = asyncio.create_task(engine.work(self))

    def __aiter__(self) -> StandInGeneration:
        return self

    async def __anext__(self) -> Delta:
        item = await self.queue.get()
        if isinstance(item, Exception):
            raise item
        if item is None:
            raise StopAsyncIteration
        return item

    def cancel(self) -> None:
        self._task.cancel()
