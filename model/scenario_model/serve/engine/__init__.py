"""The bundled inference engine: continuous batching over a Hugging Face causal language model.

`Engine(model_dir, settings, cache)` loads the model; `start()` starts its thread; `submit` accepts a request
and returns an async iterator. The caller must have verified the release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenario_model.serve.engine.interface import (
    Delta,
    Drained,
    EngineFailed,
    EngineStatistics,
    EngineStopped,
    Generation,
    GenerationRequest,
    QueueFull,
)
from scenario_model.serve.engine.settings import TorchSettings

if TYPE_CHECKING:
    from scenario_model.serve.engine.engine import Engine

__all__ = [
    "Delta",
    "Drained",
    "Engine",
    "EngineFailed",
    "EngineStatistics",
    "EngineStopped",
    "Generation",
    "GenerationRequest",
    "QueueFull",
    "TorchSettings",
]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: the gateway checks configuration, port and release first.
    if name == "Engine":
        from scenario_model.serve.engine.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
