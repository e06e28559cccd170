"""A real model passes the trial: in bfloat16 its numbers depend on more than its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenario_model.model_import.trial import try_out

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_the_packaged_model_can_be_trained_and_served(foundation: Path) -> None:
    assert try_out(foundation) == ""
