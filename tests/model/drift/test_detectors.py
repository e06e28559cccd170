"""All detectors together: silent while nothing changes, and each finds its kind of change."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_model.drift import baseline
from scenario_model.drift.agreement import SHARES, promised
from scenario_model.drift.detectors import Detectors
from tests.model.drift.texts import VOCABULARY, Domain, made, window

PROMISED = 1000.0


def alarms(detectors: Detectors, domain: Domain, windows: int) -> dict[str, int]:
    """The windows until each one alarms."""
    found: dict[str, int] = {}
    for number in range(1, windows + 1):
        for signal in detectors.window(window(detectors.baseline, domain)):
            if signal.alarms:
                found.setdefault(signal.name, number)
    return found


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


def test_usual_traffic_raises_no_alarm(random: np.random.Generator) -> None:
    assert alarms(Detectors(made(random), PROMISED, random), Domain(random), 60) == {}


def test_other_traffic_from_the_start_is_found_against_the_baseline_at_once(
    random: np.random.Generator,
) -> None:
    found = alarms(Detectors(made(random), PROMISED, random), Domain(random, moved=1.0), 10)
    assert found["reference"] <= 3
    assert "outlying" not in found, "all of it is alike"


def test_a_gentle_change_is_learnt(random: np.random.Generator) -> None:
    detectors = Detectors(made(random), PROMISED, random)
    assert alarms(detectors, Domain(random), 8) == {}
    found = alarms(detectors, Domain(random, moved=0.35), 30)
    assert found["changed"] <= 20


def test_a_later_change_is_an_outlier_among_what_came_before(random: np.random.Generator) -> None:
    detectors = Detectors(made(random), PROMISED, random)
    alarms(detectors, Domain(random), 40)
    assert alarms(detectors, Domain(random, moved=1.0), 3)["outlying"] <= 3


def test_windows_without_traffic_change_nothing_but_the_time(random: np.random.Generator) -> None:
    detectors = Detectors(made(random), PROMISED, random)
    for _ in range(40):
        signals = detectors.window([])
    assert [signal.value for signal in signals] == [40.0] * len(SHARES)


def test_a_client_is_not_evidence_of_itself(random: np.random.Generator) -> None:
    """One client's many texts are unlike all others': it alone is not what traffic has become."""
    known = made(random)
    detectors, odd = Detectors(known, PROMISED, random), Domain(random, moved=1.0)
    for _ in range(24):
        units = window(known, Domain(random), 15)
        units += [("odd", pieces) for _, pieces in window(known, odd, 1)]
        signals = detectors.window(units)
    assert [signal.name for signal in signals if signal.alarms] == []


def test_they_go_on_after_a_restart(random: np.random.Generator) -> None:
    known = made(random)
    first = Detectors(known, PROMISED, random)
    for _ in range(5):
        first.window(window(known, Domain(random, moved=0.6)))
    second = Detectors(known, PROMISED, random)
    second.resume(first.state())
    assert [each.value for each in second.signals()] == [each.value for each in first.signals()]
    with pytest.raises(KeyError):
        second.resume({})


def test_traffic_that_becomes_a_part_of_what_it_was_has_changed_and_is_not_novel(
    random: np.random.Generator,
) -> None:
    both = [Domain(random, moved=moved).document() for moved in (0.0, 1.0) for _ in range(40)]
    known = baseline.make(both, VOCABULARY)
    assert known
    found = alarms(Detectors(known, PROMISED, random), Domain(random, moved=1.0), 30)
    assert set(found) == {"changed"}


def test_what_was_promised_is_known_from_the_thresholds(random: np.random.Generator) -> None:
    signals = Detectors(made(random), PROMISED, random).signals()
    assert promised((each.name, each.threshold) for each in signals) == pytest.approx(PROMISED)
    assert promised([("another", 1.0)]) is None
