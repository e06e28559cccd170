"""Bad releases hurt few sites, and good ones are not halted: whole rollouts over a simulated fleet."""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING

import pytest

from scenario_model.rollout.decide import Tried, decide
from scenario_model.rollout.fleet import Site
from scenario_model.rollout.settings import RolloutSettings
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world
from tests.model.rollout.campaign import FAULTS, Campaign

if TYPE_CHECKING:
    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]


def halted(campaign: Campaign) -> int:
    """Lead the good release everywhere and the bad one until it is halted; how many sites served it by then."""
    campaign.want(campaign.good)
    campaign.until("done", minutes=60)
    campaign.leave(0.2, 200)
    campaign.want(campaign.new)
    campaign.until("back", minutes=120)
    return len(campaign.hurt())


def assert_that_no_site_ends_on_it(campaign: Campaign) -> None:
    """Those that are away come back meanwhile."""
    for _ in range(8):
        campaign.minute()
    campaign.now = max(campaign.now, *(site.away_until for site in campaign.sites))
    for _ in range(15):
        campaign.minute()
    assert {site.serves for site in campaign.sites} == {campaign.good}
    assert {path for path in campaign.assigned() if path.startswith("sites/")} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [FAULTS[0], *(pytest.param(each, marks=pytest.mark.soak) for each in FAULTS[1:])]
)
def test_a_bad_release_is_halted_among_the_first_sites_and_no_site_ends_on_it(
    world: World, fault: str
) -> None:
    campaign = Campaign(world, 1, sites=60, first=30, fault=fault, share=0.3)
    assert halted(campaign) <= 10
    assert_that_no_site_ends_on_it(campaign)


@pytest.mark.slow
def test_a_good_release_reaches_every_site_that_comes_back(world: World) -> None:
    campaign = Campaign(world, 2, sites=40, first=20)
    campaign.want(campaign.good)
    campaign.until("done", minutes=60)
    campaign.leave(0.2, 100)
    campaign.want(campaign.new)
    assert campaign.until("advance first", "back", minutes=60) == "advance first"
    assert campaign.until("advance all", "back", minutes=60) == "advance all"
    campaign.now = max(campaign.now, *(site.away_until for site in campaign.sites))
    campaign.until("done", minutes=60)
    for _ in range(15):
        campaign.minute()
    assert {site.serves for site in campaign.sites} == {campaign.new}


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_sites(world: World, fault: str, seed: int) -> None:
    campaign = Campaign(world, seed, sites=1000, first=100, fault=fault, share=0.3)
    assert halted(campaign) <= 40
    assert_that_no_site_ends_on_it(campaign)


def decided(dice: random.Random, share: float, sites: int, first: int) -> tuple[str, int]:
    """One rollout over decisions alone; how it ended, and how many sites had the release."""
    settings = RolloutSettings(rings=("first", "all"), soak_seconds=1.0)
    now, since, tried = 0.0, dict[str, float](), frozenset[str]()
    rings = {f"s{number}": "first" if number < first else "all" for number in range(sites)}
    said: dict[str, tuple[str, float]] = {}
    while True:
        now += 60
        seen = [
            Site(
                name=name,
                ring=ring,
                verdict=said.get(name, ("unknown", 0))[0],  # type: ignore[arg-type]
                seen_at=now,
                decided_at=said[name][1] if name in said else None,
            )
            for name, ring in rings.items()
        ]
        done = decide(settings, since, seen, now, None if since else Tried("r", tried, frozenset()))
        had = {name for name, ring in rings.items() if name in tried or ring in since}
        if done.action in {"back", "done"}:
            return done.action, len(had)
        if done.action == "advance":
            since[done.ring] = now
        tried |= set(done.sites)
        had |= tried | {name for name, ring in rings.items() if ring in since}
        for place, name in enumerate(dice.sample(sorted(had - said.keys()), len(had - said.keys()))):
            said[name] = ("failed" if dice.random() < share else "well", now + place / 1000)


def test_of_many_bad_rollouts_as_many_stay_with_five_sites_as_can() -> None:
    dice = random.Random(0)
    had = sorted(decided(dice, 0.3, 200, 100)[1] for _ in range(500))
    assert median(had) == 5
    # In so many no site among the five fails: no rule can know.
    assert sum(number <= 5 for number in had) / 500 >= 0.97 * (1 - 0.7**5)
    assert sum(number <= 10 for number in had) / 500 >= 0.96
    assert sum(number <= 20 for number in had) / 500 >= 0.985


@pytest.mark.soak
def test_of_a_thousand_good_rollouts_at_most_one_in_a_hundred_is_halted() -> None:
    settings = RolloutSettings()
    dice = random.Random(1)
    ended = [decided(dice, settings.tolerated, 1000, 100)[0] for _ in range(1000)]
    assert ended.count("back") <= 10
