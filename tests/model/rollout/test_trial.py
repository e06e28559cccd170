"""Who tries a release before its ring: few, chosen among those that are there, and no more before these are well."""

from __future__ import annotations

from typing import Any

from scenario_model.rollout.decide import Tried, decide
from scenario_model.rollout.fleet import Site
from scenario_model.rollout.settings import RolloutSettings

SETTINGS = RolloutSettings(present_seconds=50.0)
NOW = 1000.0


def site(number: int, verdict: Any = "unknown", *, away: bool = False, busy: bool = True) -> Site:
    seen = 0.0 if away else NOW
    return Site(name=f"s{number}", ring="first", verdict=verdict, seen_at=seen, decided_at=NOW, busy=busy)


def tried(*numbers: int, release: str = "r", pinned: tuple[str, ...] = ()) -> Tried:
    return Tried(release, frozenset(f"s{number}" for number in numbers), frozenset(pinned))


def test_five_sites_try_it_and_no_more_before_they_are_well() -> None:
    fleet = [site(number) for number in range(100)]
    first = decide(SETTINGS, {}, fleet, NOW, tried())
    assert (first.action, len(first.sites)) == ("try", 5)
    held = decide(SETTINGS, {}, fleet, NOW, tried(*range(5)))
    assert (held.action, held.why) == ("hold", "0 of 5 sites that try it are well, and 80% have to be")


def test_then_twice_and_four_times_as_many_and_then_the_ring() -> None:
    for count, action, more in ((5, "try", 5), (10, "try", 10), (20, "advance", 0)):
        fleet = [site(number, "well" if number < count else "unknown") for number in range(100)]
        done = decide(SETTINGS, {}, fleet, NOW, tried(*range(count)))
        assert (done.action, len(done.sites)) == (action, more)
    assert (done.ring, done.why) == ("first", "20 sites tried it")


def test_a_small_ring_gets_it_at_once() -> None:
    assert decide(SETTINGS, {}, [site(number) for number in range(5)], NOW, tried()).action == "advance"


def test_other_sites_come_first_each_time_and_busy_ones_before_silent_ones() -> None:
    fleet = [site(number, busy=number % 2 == 0) for number in range(100)]
    chosen = {decide(SETTINGS, {}, fleet, NOW, tried(release=name)).sites for name in ("a", "b", "c")}
    assert len(chosen) == 3
    assert all(int(name[1:]) % 2 == 0 for names in chosen for name in names)


def test_a_site_that_a_person_gave_a_release_of_its_own_is_not_asked() -> None:
    pinned = tuple(f"s{number}" for number in range(94))
    fleet = [site(number) for number in range(100)]
    done = decide(SETTINGS, {}, fleet, NOW, tried(pinned=pinned))
    assert len(done.sites) == 5
    assert not {*done.sites} & {*pinned}


def test_a_site_that_went_away_undecided_is_replaced_and_holds_nobody_up() -> None:
    fleet = [site(0, away=True), *(site(number, "well") for number in range(1, 5))]
    fleet += [site(number) for number in range(5, 100)]
    assert len(decide(SETTINGS, {}, fleet, NOW, tried(*range(5))).sites) == 1


def test_sites_are_not_sent_after_those_that_vanish() -> None:
    fleet = [site(number, away=number < 10) for number in range(100)]
    held = decide(SETTINGS, {}, fleet, NOW, tried(*range(10)))
    assert (held.action, held.why) == ("hold", "10 of 10 sites that try it went away")


def test_a_ring_of_which_all_sites_are_away_waits() -> None:
    fleet = [site(number, away=True) for number in range(100)]
    held = decide(SETTINGS, {}, fleet, NOW, tried())
    assert (held.action, held.why) == ("hold", "no site of first is present")


def test_a_site_that_fails_while_it_tries_it_sends_it_back() -> None:
    fleet = [site(0, "failed"), *(site(number) for number in range(1, 100))]
    assert decide(SETTINGS, {}, fleet, NOW, tried(*range(5))).action == "back"
    assert decide(SETTINGS, {}, fleet, NOW, tried(*range(1, 6))).action == "hold"


def test_after_a_failure_that_does_not_halt_it_more_sites_try_it_instead_of_the_ring() -> None:
    settings = SETTINGS.model_copy(update={"tolerated": 0.01})
    fleet = [site(number, "well" if 0 < number < 20 else "unknown") for number in range(100)]
    fleet[0] = Site(name="s0", ring="first", verdict="failed", seen_at=NOW, decided_at=NOW + 1)
    done = decide(settings, {}, fleet, NOW, tried(*range(20)))
    assert (done.action, len(done.sites)) == ("try", 20)
