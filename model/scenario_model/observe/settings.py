"""Settings of observation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scenario_model.config import FilePath, Section


class Observation(Section):
    """What a server notes of its traffic, to see when that drifts from what the release was made for."""

    window_seconds: Annotated[float, Field(ge=1, le=86_400)] = 900.0
    """Length of a window, in whose sessions drift is looked for."""
    windows_per_false_alarm: Annotated[float, Field(ge=100, le=1e9)] = 10_000.0
    """Without drift, at most one alarm in so many windows: the default is 104 days of 15 minutes each."""
    loss_share: Annotated[float, Field(ge=0, le=0.5)] = 0.01
    """Share of the time that computing the loss of what is asked may take, while nobody asks; 0: none. Not vLLM."""


class ObservationHere(Observation):
    """The same, and where this server keeps it."""

    state: FilePath
    """Folder of numbers about the windows, without any text; evidence goes on from there after a restart."""
