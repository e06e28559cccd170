"""vLLM's settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scenario_model.config import FilePath, NotNegative, Section, bad_key


class VllmSettings(Section):
    """vLLM, on hosts with GPUs."""

    kind: Literal["vllm"] = "vllm"
    device: Literal["gpu", "cpu"] = "gpu"
    """Device; cpu needs `requirements`, the lock of a CPU build."""
    requirements: FilePath | None = None
    """Lock file of its environment, on the machine that runs Ansible; null: requirements/vllm.lock, for GPUs."""
    dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Number format of weights and activations; auto: the model's own."""
    max_sequences: Annotated[int, Field(ge=1, le=4096)] = 64
    """Sequences that generate at once."""
    max_context: Annotated[int, Field(ge=2)] | None = None
    """Tokens of prompt plus answer; null: the model's own maximum, or less if memory is short."""
    max_waiting: NotNegative = 256
    """Length of the queue beyond max_sequences; further requests get 503."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of each GPU's memory to use (of the host's memory with device cpu)."""
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs of one host that share the model."""

    @model_validator(mode="after")
    def _need_a_lock_for_cpus(self) -> VllmSettings:
        if self.device == "cpu" and self.requirements is None:
            raise bad_key(
                "is missing", "device cpu needs the lock of a CPU build of vLLM", key="requirements"
            )
        return self


class InstalledVllm(VllmSettings):
    """vLLM and its installed environment, as read by the server."""

    environment: FilePath
    """Folder of the Python environment with vLLM."""
