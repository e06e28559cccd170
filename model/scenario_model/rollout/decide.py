"""What a rollout does next, from what is known: advance, hold, or go back. Pure, so that each step can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scenario_model.rollout.evidence import Evidence
from scenario_model.rollout.trial import next_sites

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scenario_model.rollout.fleet import Site
    from scenario_model.rollout.settings import RolloutSettings


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why, in words for the history.

    `ring`: the one that gets the release next, for `advance`; `sites`: those that try it next, for `try`. `asks`: who
    asks for retraining, in words, if enough sites do.
    """

    action: Literal["try", "advance", "hold", "back", "done"]
    why: str
    ring: str = ""
    sites: tuple[str, ...] = ()
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """A release that the first ring does not have yet. `sites`: who tries it; `pinned`: who shall not be asked to."""

    release: str
    sites: frozenset[str]
    pinned: frozenset[str]


def decide(
    settings: RolloutSettings,
    assigned: Mapping[str, float],
    sites: Sequence[Site],
    now: float,
    tried: Tried | None = None,
) -> Decision:
    """Decide on a release. `assigned`: when each ring that has the release was assigned it, seconds since 1970.

    `tried`: which sites try it before the first ring; None: the ring gets it at once. Sites are weighed in the order
    of their verdicts, each once, those of all rings together.
    """
    trying = tried.sites if tried else frozenset[str]()
    evidence = Evidence(settings.tolerated, settings.false_halts)
    judged = sorted(
        (
            each
            for each in sites
            if (each.ring in assigned or each.name in trying)
            and each.verdict != "unknown"
            and each.decided_at is not None
        ),
        key=lambda each: (each.decided_at or 0.0, each.name),
    )
    for count, site in enumerate(judged, start=1):
        evidence.add(failed=site.verdict == "failed")
        if evidence.halts:
            failed = sum(each.verdict == "failed" for each in judged[:count])
            limit = 1 / settings.false_halts
            why = f"{failed} of {count} sites failed: evidence {evidence.value:.0f}, halted at {limit:.0f}"
            return Decision("back", why)
    waiting = [ring for ring in settings.rings if ring not in assigned]
    if not assigned:
        return _first(settings, sites, now, tried)
    current = max(assigned, key=settings.rings.index)
    held = _held(settings, current, assigned[current], sites, now)
    if held:
        return Decision("hold", held)
    if not waiting:
        return Decision("done", f"all rings have it, and {current} is well")
    return Decision("advance", f"{current} is well", waiting[0])


def _first(settings: RolloutSettings, sites: Sequence[Site], now: float, tried: Tried | None) -> Decision:
    """A few sites of the first ring, and the ring when they are well."""
    if tried is None:
        return Decision("advance", "the first ring", settings.rings[0])
    chosen, why = next_sites(settings, tried.release, sites, tried.sites, tried.pinned, now)
    if chosen:
        return Decision("try", why, sites=tuple(chosen))
    if why:
        return Decision("hold", why)
    why = f"{len(tried.sites)} sites tried it" if tried.sites else "the first ring"
    return Decision("advance", why, settings.rings[0])


def _held(settings: RolloutSettings, ring: str, since: float, sites: Sequence[Site], now: float) -> str:
    """Why the next ring has to wait; empty if it does not."""
    if now - since < settings.soak_seconds:
        return f"{ring} has served it for {now - since:.0f} of {settings.soak_seconds:.0f} s"
    members = [each for each in sites if each.ring == ring]
    present = [each for each in members if now - each.seen_at <= settings.present_seconds]
    if members and not present:
        return f"no site of {ring} is present"
    well = sum(each.verdict == "well" for each in present)
    if well < settings.quorum * len(present):
        return (
            f"{well} of {len(present)} present sites of {ring} are well, and {settings.quorum:.0%} have to be"
        )
    return ""
