"""One answer of vLLM on its way to a client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx2

from scenario_model.serve import logs
from scenario_model.serve.engine.generation import QueuedGeneration
from scenario_model.serve.engine.interface import Drained, EngineFailed
from scenario_model.serve.vllm import completions

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.serve.engine.interface import Delta, GenerationRequest


class Answer:
    """A vLLM stream, read by its own task until it ends or is cancelled, which vLLM notices."""

    def __init__(
        self, client: httpx2.AsyncClient, request: GenerationRequest, note: Callable[[Delta], None]
    ) -> None:
        """Send the request. `note` is called with every delta."""
        self.generation = QueuedGeneration(len(request.prompt), self._cancel)
        self.finished = False
        # When its first token came: until then it waited.
        self.since: float | None = None
        self._note = note
        self.task = asyncio.create_task(self._read(client, request))

    def cut(self) -> None:
        """End it, incomplete: the drain's deadline has passed."""
        ended = Drained("the server was shut down before the answer was complete", remedy="ask again")
        self.generation.deliver(ended)
        self._cancel()

    def _cancel(self) -> None:
        self.task.cancel()

    async def _read(self, client: httpx2.AsyncClient, request: GenerationRequest) -> None:
        try:
            await self._pieces(client, request)
        except (EngineFailed, httpx2.HTTPError) as error:
            failed = error if isinstance(error, EngineFailed) else EngineFailed(_say(error))
            logs.info("vLLM failed a request", reason=failed.what)
            self.generation.deliver(failed)
        except Exception:  # noqa: BLE001  (the waiting client must be notified of any error)
            logs.exception("an answer of vLLM could not be read")
            self.generation.deliver(EngineFailed("vLLM's answer could not be read"))

    async def _pieces(self, client: httpx2.AsyncClient, request: GenerationRequest) -> None:
        async with client.sse(completions.PATH, method="POST", json=completions.body(request)) as events:
            events.response.raise_for_status()
            async for event in events:
                # Read to the end, so that the connection can be reused.
                if self.finished or event.data == completions.DONE:
                    continue
                piece = completions.delta(event.data)
                self.finished = piece.finish_reason is not None
                self.since = self.since or time.monotonic()
                self._note(piece)
                self.generation.deliver(piece)
        if not self.finished:
            raise EngineFailed("vLLM ended an answer before it was complete")


def _say(error: httpx2.HTTPError) -> str:
    """Describe the error without its message, which may quote the request."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"vLLM refused a request with HTTP {error.response.status_code}"
    return f"vLLM closed the connection ({type(error).__name__})"
