"""Hosts wait for each other before torchrun starts: their nodes may come many minutes apart.

The first host listens at torchrun's port; every other one tells it its rank there, and stays connected. Once all are
there, the first one closes the port, so that nobody takes it for torchrun's, and lets them go. Waiting in torchrun
itself would be silent, deaf to SIGTERM, and would leave the same long timeout for what takes seconds afterwards.
"""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scenario_model.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_GO = b"go\n"
_LONGEST_RANK = 16  # bytes
_ANSWER_S = 5.0
_PAUSE_S = 1.0
_NAMED = 8
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


@dataclass(slots=True)
class Waiting:
    """One wait: its limit in seconds, and a line through `say` after each `every_s`."""

    patience_s: float
    say: Callable[[str], None]
    every_s: float = 60.0
    _begun: float = field(default_factory=time.monotonic)
    _lines: int = 0

    def still(self, for_whom: str) -> None:
        """Report what is waited for. Raises TemporaryError once the limit has passed."""
        waited = time.monotonic() - self._begun
        if waited > self.patience_s:
            raise TemporaryError(f"waited {_words(waited)} for {for_whom}")
        if waited >= (self._lines + 1) * self.every_s:
            self._lines = int(waited / self.every_s)
            self.say(f"waiting for {for_whom}, {_words(waited)}")


def gather(address: str, port: int, rank: int, hosts: int, waiting: Waiting) -> None:
    """Return once all `hosts` are here; `rank` 0 is at `address` and `port`.

    Raises TemporaryError naming who is missing, OSError if the port is taken or a host went as all were there.
    """
    if rank == 0:
        _lead(port, hosts, waiting)
    else:
        _follow(address, port, rank, waiting)


def _lead(port: int, hosts: int, waiting: Waiting) -> None:
    here: dict[int, socket.socket] = {}
    with ExitStack() as closing:
        with _listener(port) as listener:
            while missing := set(range(1, hosts)) - here.keys():
                waiting.still(f"{_workers(missing)} of {hosts}")
                readable, _, _ = select.select([listener, *here.values()], [], [], _PAUSE_S)
                for rank, other in list(here.items()):
                    if other in readable:  # they say nothing more: it is gone
                        here.pop(rank).close()
                if listener in readable:
                    other = closing.enter_context(_alive(listener.accept()[0]))
                    if 0 < (told := _rank(other)) < hosts:
                        here[told] = other
                    else:
                        other.close()
        for other in here.values():
            other.sendall(_GO)
        for other in here.values():
            with suppress(OSError):
                other.recv(1)  # until it has closed: the port is then free at once


def _follow(address: str, port: int, rank: int, waiting: Waiting) -> None:
    while True:
        waiting.still("worker 0")
        # An error: its name or its port is not there yet, or not any more.
        with suppress(OSError), socket.create_connection((address, port), timeout=_ANSWER_S) as first:
            _alive(first).sendall(f"{rank}\n".encode())
            while not select.select([first], [], [], _PAUSE_S)[0]:
                waiting.still("the workers that worker 0 waits for")
            if first.recv(len(_GO)) == _GO:
                return
        time.sleep(_PAUSE_S)


def _alive(other: socket.socket) -> socket.socket:
    """With timeouts, and soon closed by the system if its host has gone."""
    other.settimeout(_ANSWER_S)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        other.setsockopt(socket.IPPROTO_TCP, option, value)
    return other


def _rank(other: socket.socket) -> int:
    """The rank that a host tells; 0, which none of them has, if it tells something else."""
    try:
        told = other.recv(_LONGEST_RANK)
        return int(told) if told.endswith(b"\n") else 0
    except (OSError, ValueError):
        return 0


def _listener(port: int) -> socket.socket:
    """As torchrun's: at every address of this host."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _workers(ranks: Collection[int]) -> str:
    named = [str(rank) for rank in sorted(ranks)]
    if len(named) == 1:
        return f"worker {named[0]}"
    more = len(named) - _NAMED
    return f"workers {', '.join(named[:_NAMED])}{f' and {more} more' if more > 0 else ''}"


def _words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
