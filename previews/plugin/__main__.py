"""`python -m previews.plugin PACKAGE [ENGINE]`: the plugin's process."""

from __future__ import annotations

import importlib.metadata
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from policies.plugin_process import serve

if TYPE_CHECKING:
    from collections.abc import Callable


def _provider() -> Callable[[Any], None]:
    from pulumi.runtime.proto.provider_pb2_grpc import add_ResourceProviderServicer_to_server

    from previews.plugin.servicer import Previewer

    previewer = Previewer(importlib.metadata.version(f"pulumi-{sys.argv[1]}"))
    return partial(add_ResourceProviderServicer_to_server, previewer)


if __name__ == "__main__":
    serve(_provider)
