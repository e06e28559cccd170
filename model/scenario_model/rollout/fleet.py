"""The sites of a catalogue as their reports show them, for a decision about one release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.rollout.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario_model.rollout.judge import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site as the cloud knows it. `decided_at`: when its verdict came, if it has one; `seen_at`: last report."""

    name: str
    ring: str
    verdict: Verdict
    seen_at: float
    decided_at: float | None = None
    busy: bool = True
    """Whether it had enough to answer lately to be judged."""


_SILENT = Tally()


def fleet(tallies: Mapping[str, Tally], rings: Mapping[str, str]) -> list[Site]:
    """Return every enrolled site, whether it has reported or not. `rings`: by site."""
    return [
        Site(
            name=name,
            ring=ring,
            verdict=tallies.get(name, _SILENT).verdict,
            seen_at=tallies.get(name, _SILENT).seen_at,
            decided_at=tallies.get(name, _SILENT).decided_at,
            busy=any(tallies.get(name, _SILENT).usual),
        )
        for name, ring in rings.items()
    ]
