"""How many connections there may be, and which one makes room for a new one.

A connection is busy from the end of a request's head until its answer is complete; otherwise it waits: for TLS,
for a head, for the next request, or for its own end. Those that wait are many and cheap, and can be ended.
"""

from __future__ import annotations

import resource
import socket
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.serve.settings import Limits

# Descriptors for everything else: log, model, event loop, threads, the store.
_OTHERS = 128
_MOST_DESCRIPTORS = 2**20
_IPV6_NETWORK_BYTES = 8


def raise_descriptor_limit() -> int:
    """Raise this process's soft limit of descriptors to the hard one, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def origin(address: tuple[object, ...]) -> bytes:
    """Return what stands for a peer: its IPv4 address, or its IPv6 network, of which one peer has all addresses."""
    host = str(address[0]).partition("%")[0]
    if ":" not in host:
        return host.encode()
    packed = socket.inet_pton(socket.AF_INET6, host)
    return packed if packed.startswith(bytes(10) + b"\xff\xff") else packed[:_IPV6_NETWORK_BYTES]


@dataclass(slots=True, eq=False)
class Place:
    """One connection's place. `end` ends the connection, and is replaced as that proceeds."""

    origin: bytes
    end: Callable[[], object]
    busy: bool = False
    gone: bool = False


class Room:
    """busy: at most this many connections are busy, besides health checks. total: all, busy and waiting."""

    def __init__(self, busy: int, total: int) -> None:
        self.busy, self.total = busy, total
        self._busy = self._inside = 0
        # By origin, those that wait, the longest wait first.
        self._waiting: dict[bytes, OrderedDict[Place, None]] = {}

    @classmethod
    def of(cls, limits: Limits, descriptors: int) -> Room:
        """Fit the limits to the descriptors: a busy connection may need a second one, to its engine."""
        available = max(descriptors - _OTHERS, 6)
        busy = min(limits.connections, available // 3)
        return cls(busy, min(busy + limits.waiting_connections, available - busy))

    @property
    def full(self) -> bool:
        """Whether no further connection may become busy."""
        return self._busy >= self.busy

    def enter(self, from_: bytes, end: Callable[[], object]) -> tuple[Place, bool]:
        """Count a new connection, which `end` ends; return whether another one had to make room for it."""
        crowded = self._inside >= self.total and self.make_room()
        self._inside += 1
        place = Place(from_, end)
        self._wait(place)
        return place, crowded

    def becomes_busy(self, place: Place) -> None:
        """A request's head is complete."""
        if not place.busy and not place.gone:
            place.busy = True
            self._busy += 1
            self._forget(place)

    def waits(self, place: Place) -> None:
        """Its answer is complete."""
        if place.busy and not place.gone:
            place.busy = False
            self._busy -= 1
            self._wait(place)

    def leaves(self, place: Place) -> None:
        """The connection has ended. Idempotent."""
        if not place.gone:
            self.waits(place)
            place.gone = True
            self._inside -= 1
            self._forget(place)

    def make_room(self) -> bool:
        """End the longest wait of the peer with the most connections that wait; False if none waits."""
        if not self._waiting:
            return False
        crowd = max(self._waiting.values(), key=len)
        place = next(iter(crowd))
        self._forget(place)
        place.end()
        return True

    def _wait(self, place: Place) -> None:
        self._waiting.setdefault(place.origin, OrderedDict())[place] = None

    def _forget(self, place: Place) -> None:
        crowd = self._waiting.get(place.origin, OrderedDict())
        crowd.pop(place, None)
        if not crowd:
            self._waiting.pop(place.origin, None)
