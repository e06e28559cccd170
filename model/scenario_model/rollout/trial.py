"""Which sites of the first ring try a release before the ring gets it: a few, then twice and four times as many. Pure.

If one of them failed, which alone may be its own fault, it goes on doubling instead: the ring is not the next stage.

Of a release that fails on 30 % of sites, no rule that gives it to five sites can be told in more than 83 % of rollouts
that it does (1 - 0.7^5). What a rule can do is give it to no more before those five have spoken.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scenario_model.rollout.fleet import Site
    from scenario_model.rollout.settings import RolloutSettings

_STAGES = 3


def next_sites(
    settings: RolloutSettings,
    release: str,
    sites: Sequence[Site],
    tried: Collection[str],
    pinned: Collection[str],
    now: float,
) -> tuple[list[str], str]:
    """The sites that try a release next, and why; or none, and why to wait; or none and nothing: the ring gets it.

    Args:
        settings: of the rollout.
        release: decides, with a site's name, who comes first: other sites each time, and not neighbours by name.
        sites: of all rings.
        tried: sites that were given the release.
        pinned: sites that a person assigned a release of their own; they are not asked to try another.
        now: seconds since 1970.

    """
    members = [each for each in sites if each.ring == settings.rings[0]]
    mine = [each for each in members if each.name in tried]
    # A site that went away undecided is replaced, for it may stay away.
    active = [each for each in mine if each.verdict != "unknown" or _present(settings, each, now)]
    fresh = sorted(
        (
            each
            for each in members
            if each.name not in tried and each.name not in pinned and _present(settings, each, now)
        ),
        key=lambda each: (not each.busy, hashlib.sha256(f"{release} {each.name}".encode()).digest()),
    )
    well = sum(each.verdict == "well" for each in mine)
    clean = not any(each.verdict == "failed" for each in mine)
    for stage in itertools.count():
        size = settings.first_sites * 2**stage
        if size >= len(members) or (clean and stage >= _STAGES):
            return [], ""
        room = size - len(active)
        if room > 0 and fresh:
            # If as many went away as stay, the release may be why: nobody is sent after them.
            chosen = fresh[: min(room, 2 * size - len(tried))]
            if chosen:
                return [each.name for each in chosen], f"{len(chosen)} sites of {settings.rings[0]} try it"
            return [], f"{len(mine) - len(active)} of {len(mine)} sites that try it went away"
        if not active:
            return [], f"no site of {settings.rings[0]} is present"
        wanted = min(size, len(active))
        if well < settings.quorum * wanted:
            return [], f"{well} of {wanted} sites that try it are well, and {settings.quorum:.0%} have to be"
    raise AssertionError("stages grow beyond any ring")


def _present(settings: RolloutSettings, site: Site, now: float) -> bool:
    return now - site.seen_at <= settings.present_seconds
