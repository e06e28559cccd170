"""How long a catalogue's metadata is believed, and when it is signed again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scenario_model.config import Section

Days = Annotated[float, Field(gt=0, le=3650)]


class Lifetimes(Section):
    """Days until metadata expires. A site takes nothing new from an expired catalogue, and goes on serving.

    What offline keys sign lives for long, because people sign it; the timestamp lives for a day, because it is what
    tells a site that nothing newer is withheld from it.
    """

    root: Days = 365
    """The root: who may sign what."""
    releases: Days = 365
    """The list of releases, and whose it is."""
    rings: Days = 30
    """Which ring and site shall serve which release, and the snapshot of all versions."""
    timestamp: Days = 1
    """The timestamp, which `catalogue refresh` signs again at half of its life."""
