"""A rollout's decisions: on reports alone, halted early, never by what is missing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from scenario_model.exchange.contract import BOUNDS_MS, Drift, Metrics, Status
from scenario_model.exchange.inbox import Report
from scenario_model.rollout.decide import decide
from scenario_model.rollout.evidence import Evidence
from scenario_model.rollout.fleet import Site
from scenario_model.rollout.judge import verdict
from scenario_model.rollout.settings import Judgement, RolloutSettings
from scenario_model.rollout.tally import Tally

OLD, NEW = (f"assistant@sha256:{digit * 64}" for digit in "01")
SETTINGS = RolloutSettings(soak_seconds=100.0, present_seconds=50.0)


def site(name: str, verdict: Any = "well", *, ring: str = "first", seen_at: float = 1000.0) -> Site:
    return Site(name=name, ring=ring, verdict=verdict, seen_at=seen_at, decided_at=500.0)


def times(milliseconds: int, count: int = 100) -> tuple[int, ...]:
    place = next((n for n, bound in enumerate(BOUNDS_MS) if milliseconds <= bound), len(BOUNDS_MS))
    return tuple(count if n == place else 0 for n in range(len(BOUNDS_MS) + 1))


def period(release: str = NEW, *, ms: int = 40, answered: int = 100, failed: int = 0) -> Metrics:
    return Metrics(
        at=1.0, release=release, seconds=60.0, answered=answered, failed=failed, first_token_ms=times(ms)
    )


def test_the_first_ring_comes_first_and_the_next_when_it_is_well() -> None:
    assert decide(SETTINGS, {}, [], 0.0).ring == "first"
    sites = [site("a"), site("b"), site("c", ring="early")]
    early = decide(SETTINGS, {"first": 880.0}, sites, 1000.0)
    assert (early.action, early.ring) == ("advance", "early")
    everywhere = {"first": 0.0, "early": 0.0, "all": 0.0}
    assert decide(SETTINGS, everywhere, [*sites, site("d", ring="all")], 1000.0).action == "done"


def test_a_ring_serves_a_release_for_a_while_before_the_next_gets_it() -> None:
    held = decide(SETTINGS, {"first": 950.0}, [site("a")], 1000.0)
    assert (held.action, held.why) == ("hold", "first has served it for 50 of 100 s")


def test_what_is_missing_advances_nothing() -> None:
    sites = [site("a"), site("b", "unknown"), site("c", "unknown")]
    held = decide(SETTINGS, {"first": 0.0}, sites, 1000.0)
    assert (held.action, held.why) == ("hold", "1 of 3 present sites of first are well, and 80% have to be")


def test_a_site_that_is_away_holds_nobody_up_and_does_not_count_as_well() -> None:
    away = [site(f"away {number}", "unknown", seen_at=0.0) for number in range(10)]
    assert decide(SETTINGS, {"first": 0.0}, [site("a"), *away], 1000.0).action == "advance"
    held = decide(SETTINGS, {"first": 0.0}, away, 1000.0)
    assert (held.action, held.why) == ("hold", "no site of first is present")


def test_failing_sites_send_it_back_whatever_else_is_missing() -> None:
    sites = [site("a", "failed"), *(site(f"x{n}", "unknown") for n in range(50))]
    back = decide(SETTINGS, {"first": 0.0}, sites, 1.0)
    assert back.action == "back"
    assert back.why.startswith("1 of 1 sites failed: evidence ")


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_a_release_that_fails_on_many_sites_is_halted_within_a_few(share: float) -> None:
    draw = random.Random(0)
    tried = []
    for _ in range(1000):
        evidence, count = Evidence(SETTINGS.tolerated, SETTINGS.false_halts), 0
        while not evidence.halts:
            evidence.add(failed=draw.random() < share)
            count += 1
        tried.append(count)
    assert sorted(tried)[len(tried) // 2] <= 3
    # No test can do better: so often one of five has failed.
    assert sum(count <= 5 for count in tried) / len(tried) >= 0.98 * (1 - (1 - share) ** 5)
    assert max(tried) <= 40


def test_a_good_release_is_hardly_ever_halted() -> None:
    draw = random.Random(0)
    halted = 0
    for _ in range(1000):
        evidence = Evidence(SETTINGS.tolerated, SETTINGS.false_halts)
        for _ in range(1000):
            evidence.add(failed=draw.random() < SETTINGS.tolerated)
            if evidence.halts:
                halted += 1
                break
    assert halted <= 10


RULES = Judgement()


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], "unknown"),
        ([period(OLD)] * 5, "unknown"),
        ([period(OLD)] * 5 + [period()] * 2, "unknown"),
        ([period(OLD)] * 5 + [period()] * 3, "well"),
        ([period()] * 3, "well"),
        ([period(OLD)] * 5 + [period(failed=10)] * 3, "failed"),
        ([period(OLD)] * 5 + [period(failed=10)] * 2 + [period()], "unknown"),
        ([period(OLD)] * 5 + [period(failed=2)] * 3, "well"),
        ([period(OLD)] * 5 + [period(ms=90)] * 3, "failed"),
        ([period(OLD, ms=90)] * 5 + [period(ms=90)] * 3, "well"),
        ([period(OLD, ms=90)] * 5 + [period(ms=40)] * 3, "well"),
        ([period(OLD)] * 5 + [period(answered=3, failed=3)] * 9, "unknown"),
        (
            [Status(at=1.0, release=OLD, state="serving", package="0.1.0", assigned=NEW, refusal="load")],
            "failed",
        ),
        (
            [Status(at=1.0, release=OLD, state="serving", package="0.1.0", assigned=NEW, refusal="link")],
            "unknown",
        ),
        (
            [Status(at=1.0, release=OLD, state="serving", package="0.1.0", assigned=OLD, refusal="load")],
            "unknown",
        ),
    ],
)
def test_a_site_is_judged_by_what_it_was_before(reports: list[Any], expected: str) -> None:
    assert verdict(NEW, reports, RULES) == expected


def drift(release: str, asks: Any) -> Drift:
    return Drift(at=1.0, release=release, window_seconds=300.0, units=50, asks=asks)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([period(OLD), drift(NEW, "retraining")], "failed"),
        ([drift(OLD, "retraining"), drift(NEW, "retraining"), *[period()] * 3], "well"),
        ([drift(NEW, "warning"), *[period()] * 3], "well"),
        ([drift(NEW, "nothing"), *[period()] * 3], "well"),
    ],
)
def test_a_release_is_wrong_where_detectors_ask_for_retraining_that_did_not_ask_before(
    reports: list[Any], expected: str
) -> None:
    assert verdict(NEW, reports, RULES) == expected
    tally = Tally()
    for number, message in enumerate(reports, start=1):
        tally.add(NEW, Report("here", number, float(number), message), RULES)
    assert tally.verdict == expected


def test_only_when_a_report_arrived_counts_whatever_the_clock_of_the_site_says() -> None:
    tally = Tally()
    for number, clock in enumerate((0.0, 3.9e9, 5.0), start=1):
        said = period().model_copy(update={"at": clock})
        tally.add(NEW, Report("here", number, 1000.0 + number, said), RULES, since=1000.0)
    assert (tally.verdict, tally.seen_at, tally.decided_at) == ("well", 1003.0, 1003.0)


def test_an_empty_ring_is_passed_after_its_time() -> None:
    sites = [site("a")]
    waits = decide(SETTINGS, {"first": 0.0, "early": 950.0}, sites, 1000.0)
    assert (waits.action, waits.why) == ("hold", "early has served it for 50 of 100 s")
    done = decide(SETTINGS, {"first": 0.0, "early": 850.0}, sites, 1000.0)
    assert (done.action, done.ring) == ("advance", "all")


def test_a_site_that_was_enrolled_late_is_waited_for_like_the_others_and_takes_nothing_back() -> None:
    sites = [site("a"), site("b"), site("late", "unknown")]
    held = decide(SETTINGS, {"first": 0.0}, sites, 1000.0)
    assert (held.action, held.why) == ("hold", "2 of 3 present sites of first are well, and 80% have to be")
    everywhere = {"first": 0.0, "early": 0.0, "all": 0.0}
    assert decide(SETTINGS, everywhere, sites, 1000.0).action == "done"
