"""What `serve.json` may say of vLLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  (config.load reads the annotations)
from typing import Annotated, Literal

from scenario_model.config import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSettings:
    """How vLLM runs the model: the `engine` part of the server's configuration, if its kind is `vllm`.

    environment: folder of the Python environment that has vLLM.
    dtype: number format of weights and activations; `auto` is the model's own.
    max_sequences: sequences that generate at once. max_waiting: requests beyond these before `QueueFull`.
    max_context: tokens of prompt plus answer; None: what the model was made for, or less if memory is short.
    gpu_memory_utilization: part of each GPU's memory that is used (of the host's, if vLLM is a CPU build).
    tensor_parallel: GPUs of this host that share the model.
    """

    kind: Literal["vllm"]
    environment: Path
    dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    max_sequences: Annotated[int, Range(1, 4096)] = 64
    max_context: Annotated[int | None, Range(2)] = None
    max_waiting: Annotated[int, Range(0)] = 256
    gpu_memory_utilization: Annotated[float, Range(high=1, above=0)] = 0.9
    tensor_parallel: Annotated[int, Range(1, 64)] = 1
