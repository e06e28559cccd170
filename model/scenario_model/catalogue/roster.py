"""Which sites the web server lets in, asked for every request."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from scenario_model.catalogue.enrolment import ENROLLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from scenario_model.catalogue.enrolment import Enrolments

_STALE_SECONDS = 60.0
_COUNT_SECONDS = 60.0
_REMEMBERED_SECONDS = 1.0


class Roster:
    """The enrolled sites of one store.

    `seconds`: how long one list of all sites is good for; 0: sites are looked up one by one, as is cheap in a
    folder, and remembered for a second. A site that is revoked is out after as long; one that was enrolled elsewhere
    is in at once.
    """

    def __init__(
        self, enrolments: Enrolments, states: Callable[[], Mapping[str, str]], seconds: float, pool: Executor
    ) -> None:
        """`states`: what `Enrolments.states` gives, read from the store."""
        self._enrolments, self._read, self._seconds, self._pool = enrolments, states, seconds, pool
        self._states: dict[str, str] = {}
        self._looked_up: dict[str, float] = {}
        self._read_at = -_STALE_SECONDS
        self._reading: asyncio.Task[None] | None = None

    async def lets_in(self, site: str) -> bool:
        """Whether a site is enrolled. Raises what the store raises, if nothing recent is known."""
        now = time.monotonic()
        if not self._seconds:
            if now - self._looked_up.get(site, -_REMEMBERED_SECONDS) >= _REMEMBERED_SECONDS:
                self._states[site], self._looked_up[site] = self._enrolments.state(site), now
            return self._states[site] == ENROLLED
        await self._fresh(self._seconds)
        if (
            self._states.get(site) != ENROLLED
            and now - self._looked_up.get(site, -self._seconds) >= self._seconds
        ):
            # Enrolled since, by another replica perhaps.
            self._looked_up[site] = now
            loop = asyncio.get_running_loop()
            self._states[site] = await loop.run_in_executor(self._pool, self._enrolments.state, site)
        return self._states.get(site) == ENROLLED

    def forget(self, site: str) -> None:
        """Look a site up again: it was just enrolled."""
        self._looked_up.pop(site, None)

    async def number(self) -> int:
        """How many sites are enrolled, as of a minute ago at most."""
        await self._fresh(self._seconds or _COUNT_SECONDS)
        return sum(state == ENROLLED for state in self._states.values())

    async def _fresh(self, seconds: float) -> None:
        """Read the list again if it is too old: meanwhile the former one is good, unless it is very old."""
        age = time.monotonic() - self._read_at
        if age < seconds:
            return
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._list())
            self._reading.add_done_callback(self._done)
        if age >= max(seconds, _STALE_SECONDS):
            await asyncio.shield(self._reading)

    async def _list(self) -> None:
        began = time.monotonic()
        states = await asyncio.get_running_loop().run_in_executor(self._pool, self._read)
        self._states, self._looked_up, self._read_at = dict(states), {}, began

    def _done(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        # Whoever waits gets the error; if nobody does, the next request tries again.
        if not task.cancelled():
            task.exception()
