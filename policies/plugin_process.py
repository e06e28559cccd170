"""The process of a plugin that Pulumi's engine starts: it prints its port, as all plugins do."""

from __future__ import annotations

import os
import signal
from concurrent import futures
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_THREADS, _LARGEST = 8, 400 * 1024 * 1024


def serve(add_servicer: Callable[[], Callable[[Any], None]]) -> None:
    """Serve until the engine ends this process, or is gone.

    `add_servicer`: imports what takes time, and returns what adds the servicer to a server.
    """
    # The engine interrupts plugins that it no longer needs, also those that still start, and waits for them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    engine = os.getppid()
    import grpc

    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS), options=[("grpc.max_receive_message_length", _LARGEST)]
    )
    add_servicer()(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while server.wait_for_termination(timeout=1.0) and os.getppid() == engine:
        pass
