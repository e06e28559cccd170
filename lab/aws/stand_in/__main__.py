"""`python -m lab.aws.stand_in [ENGINE]`: the plugin's process; prints its port, as all plugins do."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from concurrent import futures

try:
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    from lab.aws.stand_in.engine_log import EngineLog
    from lab.aws.stand_in.servicer import StandIn
except ImportError as error:
    sys.exit(
        f"the lab's stand-in for the AWS provider plugin: {error.name} is not in {sys.executable}; "
        "put .venv/bin first on PATH, or install requirements/control.lock"
    )

_THREADS = 16
_LARGEST = 400 * 1024 * 1024
"""Bytes in a message, as the engine allows."""
_SECONDS_BETWEEN_LOOKS = 1.0


def main() -> None:
    """Serve until the engine ends this process or is gone: a killed engine ends no plugin."""
    engine = os.getppid()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", nargs="?", default="", help="the address of Pulumi's engine")
    arguments, _ = parser.parse_known_args()
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS), options=[("grpc.max_receive_message_length", _LARGEST)]
    )
    servicer = StandIn(importlib.metadata.version("pulumi-aws"), EngineLog(arguments.engine))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while server.wait_for_termination(timeout=_SECONDS_BETWEEN_LOOKS) and os.getppid() == engine:
        pass


if __name__ == "__main__":
    main()
