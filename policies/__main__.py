"""`python -m policies [ENGINE]`: the policy pack's process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from policies.plugin_process import serve

if TYPE_CHECKING:
    from collections.abc import Callable


def _pack() -> Callable[[Any], None]:
    from pulumi.runtime.proto.analyzer_pb2_grpc import add_AnalyzerServicer_to_server

    from policies.servicer import Analyzer

    return partial(add_AnalyzerServicer_to_server, Analyzer())


if __name__ == "__main__":
    serve(_pack)
