"""The training configuration: what to train, on what, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the configuration loader reads the annotations
from typing import Annotated, Literal

from scenario_model.config import Range
from scenario_model.data.settings import DataSettings, PythonReference

_DEFAULT_RATES = {"lora": 5e-4, "full": 3e-5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train. The defaults suit a small model on a few CPU cores: about five minutes on two."""

    method: Literal["lora", "full"] = "lora"
    """lora: low-rank adapters beside frozen weights (Hu et al., 2021); full: every weight."""
    rank: Annotated[int, Range(1, 1024)] = 16
    """LoRA: rank of the adapters."""
    alpha: Annotated[float, Range(above=0, high=65536)] = 32.0
    """LoRA: the adapters' output is scaled by alpha / rank."""
    learning_rate: Annotated[float, Range(above=0, high=1)] | None = None
    """Peak of the schedule; null: 5e-4 for lora, 3e-5 for full."""
    warmup: Annotated[float, Range(0, 1)] = 0.05
    """Share of the steps in which the learning rate rises from 0; after it falls as a cosine to a tenth."""
    weight_decay: Annotated[float, Range(0, 1)] = 0.0
    clip_norm: Annotated[float, Range(above=0)] = 1.0
    """Largest norm of the gradient of a step."""
    epochs: Annotated[int, Range(1, 10000)] = 1
    """Passes over the data."""
    max_steps: Annotated[int, Range(1)] | None = None
    """Stop after so many steps; null: after all epochs."""
    sequence_length: Annotated[int, Range(16, 131072)] = 512
    """Tokens of a packed sequence."""
    tokens_per_step: Annotated[int, Range(16)] = 1024
    """Tokens between two updates of the weights, over all processes."""
    micro_batch: Annotated[int, Range(1, 4096)] = 2
    """Sequences that one process takes through the model at once: more need more memory."""
    recompute: bool = False
    """Make activations again in the backward pass instead of keeping them: less memory, a third more time."""
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    checkpoint_every_steps: Annotated[int, Range(1)] = 10
    dtype: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the arithmetic; auto: bf16 where a measurement at the start finds it faster."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """Under torchrun. ddp: each process holds the model; fsdp: shares of it; auto: fsdp if need be."""

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up."""
        return self.learning_rate if self.learning_rate is not None else _DEFAULT_RATES[self.method]

    @property
    def sequences_per_step(self) -> int:
        """Packed sequences between two updates, over all processes."""
        return max(1, self.tokens_per_step // self.sequence_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """A training configuration file."""

    foundation: Path
    """Directory of an imported foundation model."""
    runs: Path
    """Folder of training runs; each gets a folder named by its digest."""
    data: DataSettings = field(default_factory=PythonReference)
    recipe: Recipe = field(default_factory=Recipe)
