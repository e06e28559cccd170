"""The bundled inference engine's settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import NotNegative, Positive, Section


class TorchSettings(Section):
    """The bundled engine, for CPUs, small premises, or one lightly loaded GPU."""

    kind: Literal["torch"] = "torch"
    weights: Literal["auto", "int8", "bf16", "fp32"] = "auto"
    """Number format of the linear layers; auto: int8 on a CPU, bf16 on a GPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the layers; auto: if a C++ compiler is found (CPU) or the device is a GPU."""
    threads: Positive | None = None
    """CPU threads for the model, fewer while other programs keep cores busy; null: one per core."""
    max_sequences: Annotated[int, Field(ge=1, le=1024)] = 16
    """Sequences that generate at once: slots of the key/value cache."""
    max_context: Annotated[int, Field(ge=2)] | None = None
    """Tokens of prompt plus answer that a slot holds; null: the model's own maximum, or less where the cache would
    take more than a quarter of the free memory."""
    max_waiting: NotNegative = 64
    """Length of the queue for a slot; further requests get 503."""
    prefill_tokens: Positive = 256
    """Prompt tokens processed per step; bounds how long a long prompt delays the others."""
    prompt_lookup: Literal["auto", "on", "off"] = "auto"
    """Speculative decoding by prompt lookup (n-grams of prompt and answer); auto: with int8 weights, where answers stay
    the same to the last bit; on: with any, where they may differ by rounding."""
