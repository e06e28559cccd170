"""What the settings of every stack share."""

from __future__ import annotations

from typing import Literal

from scenario_model.config import Section, Text
from stacks.scenarios import SCENARIOS

LocalPath = Text
"""A path on this machine: absolute, or below the project."""


class StackSettings(Section):
    """What the file of any stack may hold."""

    scenario: Literal[tuple(SCENARIOS)] | None = None  # type: ignore[valid-type]
    """The stack's scenario; a stack that is named after one needs none."""
