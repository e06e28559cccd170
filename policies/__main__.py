"""`python -m policies [ENGINE]`: the policy pack's process; prints its port, as all plugins do."""

from __future__ import annotations

import os
import signal
from concurrent import futures

_THREADS, _LARGEST = 8, 400 * 1024 * 1024


def main() -> None:
    """Serve until the engine ends this process, or is gone."""
    # The engine interrupts plugins that it no longer needs, also those that still start, and waits for them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    engine = os.getppid()
    import grpc
    from pulumi.runtime.proto import analyzer_pb2_grpc

    from policies.servicer import Analyzer

    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS), options=[("grpc.max_receive_message_length", _LARGEST)]
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while server.wait_for_termination(timeout=1.0) and os.getppid() == engine:
        pass


if __name__ == "__main__":
    main()
