"""Settings of the evaluation gate."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scenario_model.config import NotNegative, Section


class GateSettings(Section):
    """Criteria for a trained model to be promoted."""

    minimum_gain: Annotated[float, Field(ge=0)] = 0.0
    """Bits per byte by which the candidate must beat its parent on the new domain, at the given confidence."""
    old_domain_margin: Annotated[float, Field(ge=0)] = 0.02
    """Allowed regression of the candidate on the old domain, as a share: 0.02 is 2 %."""
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    """Two-sided confidence of the bootstrap intervals; the gate compares their upper bounds."""
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Bootstrap resamples of the documents."""
    seed: NotNegative = 0
    """Seed of the resampling: the same scores and settings give the same verdict."""
