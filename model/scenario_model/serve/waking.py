"""Waking the hosted endpoint, which may have no pods while nobody uses it.

The site asks its catalogue, which is always there, until the endpoint answers. No text is part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import httpx2

from scenario_model.errors import ScenarioModelError
from scenario_model.serve import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scenario_model.serve.settings import Wake

_ASK_SECONDS, _LOOK_SECONDS = 5.0, 1.0
_ANSWER_SECONDS = httpx2.Timeout(10.0)
# These mean that asking again is in vain; anything else may pass.
_REFUSED = (401, 403, 404)


class Waker:
    """Asks for the endpoint until it answers; several requests may wait for that."""

    def __init__(
        self,
        settings: Wake,
        client: httpx2.AsyncClient,
        noted: Callable[[], Awaitable[None]],
        awoken: Callable[[], None],
    ) -> None:
        """`client`: of the endpoint, with its key.

        `noted`: writes into the audit log that the site asks. `awoken`: is told when the endpoint answers.
        """
        self._settings, self._client, self._noted, self._awoken = settings, client, noted, awoken
        # The list of models is answered while they load.
        self._ready = client.base_url.copy_with(path="/readyz")
        self._task: asyncio.Task[bool] | None = None

    @property
    def is_waking(self) -> bool:
        """Whether the endpoint was asked for and does not answer yet."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Ask for the endpoint, unless that is under way."""
        if not self.is_waking:
            self._task = asyncio.create_task(self._wake())

    async def awake(self) -> bool:
        """Wait until the endpoint answers; False if it does not in time, or was never asked for."""
        return self._task is not None and await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _wake(self) -> bool:
        began = time.monotonic()
        asked = began - _ASK_SECONDS
        while (now := time.monotonic()) - began < self._settings.seconds:
            if await self._answers():
                logs.info("the hosted endpoint answers", seconds=round(now - began, 1))
                self._awoken()
                return True
            if now - asked >= _ASK_SECONDS:
                asked = now
                if not await self._ask():
                    return False
            await asyncio.sleep(_LOOK_SECONDS)
        logs.info("the hosted endpoint did not start", seconds=self._settings.seconds)
        return False

    async def _answers(self) -> bool:
        try:
            return (await self._client.get(self._ready, timeout=_ANSWER_SECONDS)).is_success
        except httpx2.HTTPError:
            return False

    async def _ask(self) -> bool:
        """Ask once; False if that is in vain."""
        try:
            # What cannot be noted does not cross.
            await self._noted()
            answer = await self._client.post(self._settings.url, timeout=_ANSWER_SECONDS)
        except httpx2.HTTPError as error:
            logs.info("the catalogue cannot be asked for the endpoint", reason=type(error).__name__)
            return True
        except ScenarioModelError as error:
            logs.info("the catalogue is not asked for the endpoint", reason=error.what)
            return False
        if answer.status_code in _REFUSED:
            logs.info("the catalogue refuses to start the endpoint", status=answer.status_code)
            return False
        return True
