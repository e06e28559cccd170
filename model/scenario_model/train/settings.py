"""The training configuration: model, data and recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import FilePath, Positive, Section
from scenario_model.data.settings import Data, PythonReference

_TOKENS_PER_STEP = 1024
_DEFAULT_RATES = {"lora": 5e-4, "full": 3e-5}


class Recipe(Section):
    """How to train. The defaults suit a small model on a few CPU cores: about five minutes on two."""

    method: Literal["lora", "full"] = "lora"
    """lora: low-rank adapters on frozen weights (Hu et al., 2021); full: every weight."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """LoRA: rank of the adapters."""
    alpha: Annotated[float, Field(gt=0, le=65536)] = 32.0
    """LoRA: the adapters' output is scaled by alpha / rank."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak of the schedule; null: 5e-4 for lora, 3e-5 for full."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of steps in which the learning rate rises from 0; it then decays as a cosine to a tenth."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """AdamW's decoupled weight decay."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradient norm at which gradients are clipped."""
    epochs: Annotated[int, Field(ge=1, le=10000)] = 1
    """Passes over the data."""
    max_steps: Positive | None = None
    """Stop after this many steps; null: after all epochs."""
    sequence_length: Annotated[int, Field(ge=16, le=131072)] = 512
    """Tokens per packed sequence."""
    tokens_per_step: Annotated[int, Field(ge=16)] | None = None
    """Tokens per weight update, over all processes; null: 1024, or a sequence for each process if that is more."""
    micro_batch: Annotated[int, Field(ge=1, le=4096)] = 2
    """Sequences that one process handles at once: more need more memory."""
    recompute: bool = False
    """Recompute activations in the backward pass instead of storing them: less memory, a third more time."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Seed of the data's order and of the adapters' initial weights."""
    checkpoint_every_steps: Positive = 10
    """Steps between two checkpoints."""
    dtype: Literal["auto", "bf16", "fp32"] = "auto"
    """Number format of the arithmetic; auto: bf16 if measured to be faster at the start."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """Under torchrun. ddp: each process holds the model; fsdp: a shard of it; auto: fsdp only if needed."""

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up."""
        return self.learning_rate if self.learning_rate is not None else _DEFAULT_RATES[self.method]

    @property
    def sequences_per_step(self) -> int:
        """Packed sequences per update, over all processes."""
        return max(1, (self.tokens_per_step or _TOKENS_PER_STEP) // self.sequence_length)

    def for_processes(self, number: int) -> Recipe:
        """The same with `tokens_per_step` as a number."""
        least = max(_TOKENS_PER_STEP, number * self.sequence_length)
        return self.model_copy(update={"tokens_per_step": self.tokens_per_step or least})


class TrainSettings(Section):
    """The configuration file of `scenario-model train`."""

    foundation: FilePath
    """Directory of an imported foundation model."""
    runs: FilePath
    """Folder of training runs; each gets a folder named by its digest."""
    data: Data = PythonReference()
    recipe: Recipe = Recipe()
