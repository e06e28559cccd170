"""The foundation model that training starts from, on hosts of the premises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import HostPath, Kinds, Section


class PackagedFoundation(Section):
    """SmolLM2-135M-Instruct, as included in a locked Python package."""

    kind: Literal["packaged"] = "packaged"


class FoundationOnHosts(Section):
    """Your own foundation model: a Hugging Face directory or a GGUF file."""

    kind: Literal["directory", "gguf"]
    """directory: a Hugging Face checkpoint; gguf: a single file."""
    path: HostPath
    """The directory or file, on every training host."""
    max_perplexity: Annotated[float, Field(gt=1)] | None = None
    """Refuse a model above this perplexity per token on plain English; null: 1000."""


Foundation = Annotated[PackagedFoundation | FoundationOnHosts, Kinds(default="packaged")]
