"""Accepts connections, and counts them before they begin: TLS starts with a connection's first byte.

uvicorn and asyncio count a connection only after its TLS handshake. Until then it has a descriptor, and
connections that never begin would use up all of them, unseen.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from scenario_model.serve import logs
from scenario_model.serve.room import origin

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from scenario_model.serve.metrics import Metrics
    from scenario_model.serve.room import Place, Room

# Accepted in one go, before other events have their turn.
_BATCH = 32
# Peers that do not complete the TLS close are disconnected.
_TLS_CLOSE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
_REPORT_SECONDS = 10.0


class Arrivals:
    """Gives a listening socket's connections to `connect(place)`'s protocol, once TLS is agreed."""

    def __init__(
        self, room: Room, metrics: Metrics, seconds: float, connect: Callable[[Place], asyncio.Protocol]
    ) -> None:
        """`seconds`: for a connection's first byte, and again for its TLS handshake."""
        self._room, self._metrics, self._seconds, self._connect = room, metrics, seconds, connect
        self._loop = asyncio.get_running_loop()
        self._silent: dict[socket.socket, tuple[Place, asyncio.TimerHandle]] = {}
        self._handshakes: set[asyncio.Task[bool]] = set()
        self._lost = Report(self._loop)

    def start(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Accept from a listening socket."""
        self._sock, self._context = sock, context
        sock.setblocking(False)
        self._loop.add_reader(sock, self._accept)

    def stop(self) -> None:
        """Stop accepting. Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def close(self) -> None:
        """Stop accepting; end what has not begun."""
        self.stop()
        for sock in list(self._silent):
            self._end_silent(sock)
        for task in self._handshakes:
            task.cancel()
        self._lost.close()

    def lost(self, reason: str) -> None:
        """Count a connection that ended before a handler, and log it with others."""
        self._metrics.refused(reason)
        self._lost.add(reason)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._out_of_descriptors()
                return
            sock.setblocking(False)
            place, crowded = self._room.enter(origin(address), partial(self._end_silent, sock))
            if crowded:
                self.lost("made_room")
            timer = self._loop.call_later(self._seconds, self._too_silent, sock)
            self._silent[sock] = (place, timer)
            self._loop.add_reader(sock, self._first_byte, sock)

    def _out_of_descriptors(self) -> None:
        """Others of this process have them all: end a connection that waits, or wait for one to end."""
        self.lost("out_of_descriptors")
        if not self._room.make_room():
            self._loop.remove_reader(self._sock)
            self._loop.call_later(_PAUSE_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._accept)

    def _too_silent(self, sock: socket.socket) -> None:
        self.lost("never_began")
        self._end_silent(sock)

    def _end_silent(self, sock: socket.socket) -> None:
        place = self._no_longer_silent(sock)
        if place is not None:
            sock.close()
            self._room.leaves(place)

    def _no_longer_silent(self, sock: socket.socket) -> Place | None:
        place, timer = self._silent.pop(sock, (None, None))
        if timer is not None:
            timer.cancel()
            self._loop.remove_reader(sock)
        return place

    def _first_byte(self, sock: socket.socket) -> None:
        try:
            left = not sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            left = True
        if left:
            # A port scan, or a balancer's check of the port; not worth a log line.
            self._metrics.refused("left_before_it_began")
            self._end_silent(sock)
            return
        place = self._no_longer_silent(sock)
        if place is not None:
            task = self._loop.create_task(self._agree(sock, place))
            place.end = task.cancel
            self._handshakes.add(task)
            task.add_done_callback(lambda task: self._agreed(task, sock, place))

    async def _agree(self, sock: socket.socket, place: Place) -> bool:
        """Agree on TLS; the connection then has the place."""
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._connect(place),
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_TLS_CLOSE_SECONDS,
            )
        except Exception:  # noqa: BLE001  (whatever a peer sends must not end the server)
            self.lost("tls_failed")
            return False
        return True

    def _agreed(self, task: asyncio.Task[bool], sock: socket.socket, place: Place) -> None:
        self._handshakes.discard(task)
        # A task that is cancelled before its first step never sees its socket.
        if task.cancelled() or not task.result():
            sock.close()
            self._room.leaves(place)


class Report:
    """One log line for all connections that ended early within ten seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reason: str) -> None:
        """Count one; the first is logged within a second."""
        self._counts[reason] += 1
        if self._timer is None:
            self._timer = self._loop.call_later(1.0, self._tick)

    def close(self) -> None:
        """Log the rest."""
        if self._timer is not None:
            self._timer.cancel()
        self._say()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_REPORT_SECONDS, self._tick) if self._counts else None
        self._say()

    def _say(self) -> None:
        if self._counts:
            logs.info("connections ended without a request", **self._counts)
            self._counts.clear()
