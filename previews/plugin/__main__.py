"""`python -m previews.plugin PACKAGE [ENGINE]`: the plugin's process; prints its port, as all plugins do."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from concurrent import futures

_THREADS, _LARGEST = 8, 400 * 1024 * 1024


def main() -> None:
    """Serve until the engine ends this process, or is gone."""
    # The engine interrupts plugins that it no longer needs, also those that still start, and waits for them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    engine = os.getppid()
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    from previews.plugin.servicer import Previewer

    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS), options=[("grpc.max_receive_message_length", _LARGEST)]
    )
    previewer = Previewer(importlib.metadata.version(f"pulumi-{sys.argv[1]}"))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(previewer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while server.wait_for_termination(timeout=1.0) and os.getppid() == engine:
        pass


if __name__ == "__main__":
    main()
