"""What the gate asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scenario_model.config import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """The content of gate.json; each key has a default."""

    minimum_gain: Annotated[float, Range(low=0.0)] = 0.0
    """Bits per byte by which the candidate must surely beat its parent on the new domain."""
    old_domain_margin: Annotated[float, Range(low=0.0)] = 0.02
    """How much worse, relatively, the candidate may be on the old domain: 0.02 is 2 %."""
    confidence: Annotated[float, Range(low=0.5, high=0.999)] = 0.95
    """The two-sided confidence of the intervals; both bounds that decide are their upper ends."""
    resamples: Annotated[int, Range(low=100, high=100_000)] = 2000
    """How many times the documents are drawn again."""
    seed: Annotated[int, Range(low=0)] = 0
    """Of the drawing: the same scores and settings give the same verdict."""
