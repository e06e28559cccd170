"""Announces the stand-in in Pulumi's output, once."""

from __future__ import annotations

import threading

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

INTRODUCTION = (
    "this is the lab's stand-in for the AWS provider plugin: "
    "resources are created in a moto server; AWS is never called"
)


class EngineLog:
    """The engine's log."""

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._lock = threading.Lock()
        self._said = False

    def listen_at(self, address: str) -> None:
        """Set the address of the listening engine."""
        self._address = address

    def introduce(self) -> None:
        """Announce the stand-in, the first time."""
        with self._lock:
            if self._said or not self._address:
                return
            self._said = True
        with grpc.insecure_channel(self._address) as channel:
            message = engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=INTRODUCTION)
            engine_pb2_grpc.EngineStub(channel).Log(message, timeout=10)
