"""Gathers what all sites report for a moment into one object of the store, and only then acknowledges."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from scenario_model.exchange.inbox import Inbox, Reports

_SECONDS = 0.2
_MANY = 200
"""Reports of one site that need not wait for those of others: it catches up after a cut."""


class Gathering:
    """Reports on their way into one inbox."""

    def __init__(self, inbox: Inbox, pool: Executor) -> None:
        self._inbox, self._pool = inbox, pool
        self._gathered: dict[str, Reports] = {}
        self._kept: asyncio.Future[None] | None = None

    async def keep(self, site: str, reports: Reports) -> None:
        """Return when the reports are durable. Raises what the store raises; then the site sends them again."""
        self._gathered.setdefault(site, []).extend(reports)
        if self._kept is None:
            pause = 0.0 if len(reports) >= _MANY else _SECONDS
            self._kept = asyncio.ensure_future(self._write(pause))
        await asyncio.shield(self._kept)

    async def _write(self, pause: float) -> None:
        await asyncio.sleep(pause)
        gathered, self._gathered, self._kept = self._gathered, {}, None
        await asyncio.get_running_loop().run_in_executor(self._pool, self._inbox.take, time.time(), gathered)
