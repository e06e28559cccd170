"""Settings common to every stack."""

from __future__ import annotations

from typing import Literal

from scenario_model.config import Section, Text
from stacks.scenarios import SCENARIOS

LocalPath = Text
"""A path on this machine: absolute, or below the project."""


class StackSettings(Section):
    """Settings of any stack."""

    scenario: Literal[tuple(SCENARIOS)] | None = None  # type: ignore[valid-type]
    """The stack's scenario; not needed if the stack is named after it."""
