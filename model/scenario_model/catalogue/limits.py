"""How much one client may ask of the catalogue's web server, so that none takes it from the others."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scenario_model.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REMEMBERED = 50_000


class TooMuch(TemporaryError):  # noqa: N818 - not a fault
    """A client asks too much, or the server has too much to do (`busy`); it may ask again after some seconds."""

    def __init__(self, what: str, seconds: float, *, busy: bool = False) -> None:
        super().__init__(what)
        self.seconds, self.busy = seconds, busy


@dataclass(slots=True)
class Rate:
    """At most `per_second` requests of one client on average, and `burst` at once."""

    per_second: float
    burst: float
    now: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)

    def spend(self, client: str) -> None:
        """Count one request. Raises TooMuch if it is one too many."""
        now = self.now()
        left, last = self._seen.get(client, (self.burst, now))
        left = min(self.burst, left + (now - last) * self.per_second)
        if left < 1:
            self._seen[client] = (left, now)
            raise TooMuch("too many requests", (1 - left) / self.per_second)
        self._seen[client] = (left - 1, now)
        if len(self._seen) > _REMEMBERED:
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Forget those who have not asked for so long that they have all of their burst again."""
        idle = self.burst / self.per_second
        self._seen = {client: seen for client, seen in self._seen.items() if now - seen[1] < idle}


@dataclass(slots=True)
class Downloads:
    """At most `most` files on their way at once, and `each` to one client."""

    most: int
    each: int
    _running: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def one(self, client: str) -> Iterator[None]:
        """A place for one download. Raises TooMuch if there is none."""
        mine = self._running.get(client, 0)
        if mine >= self.each:
            raise TooMuch(f"only {self.each} downloads of one site at once", 1)
        if self.running >= self.most:
            raise TooMuch("too many downloads at once", 10, busy=True)
        self._running[client] = mine + 1
        try:
            yield
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]

    @property
    def running(self) -> int:
        """How many there are now."""
        return sum(self._running.values())
