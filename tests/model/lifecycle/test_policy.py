"""What a lifecycle does next: only on agreement, not too often, and never on what is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.lifecycle.policy import next_after
from scenario_model.lifecycle.settings import Lifecycle
from scenario_model.release.lifecycle_journal import Entry
from tests.model.observe.test_windows import ONE

if TYPE_CHECKING:
    from scenario_model.observe.windows import Window

OLD, NEW = (f"assistant@sha256:{digit * 64}" for digit in "01")
AUTO = Lifecycle(approval="auto", windows=2, cool_down_seconds=1000.0, retrainings=2)
QUIET = replace(ONE, release=OLD, signals=[("changed", 1.0, 10.0), ("reference", 1.0, 10.0)])
ASKING = replace(QUIET, signals=[("changed", 20.0, 10.0), ("reference", 30.0, 10.0)], asks="retraining")
WARNING = replace(QUIET, signals=[("changed", 20.0, 10.0), ("reference", 1.0, 10.0)], asks="warning")


def event(name: Any, at: float = 0.0, release: str = NEW) -> Entry:
    time = datetime.fromtimestamp(at, UTC).isoformat()
    return Entry(event=name, at=time, release=release, beside=OLD, why="because")


def test_detectors_that_agree_for_long_enough_ask_for_retraining() -> None:
    found = next_after([], [QUIET, ASKING, ASKING], AUTO, OLD, 0.0)
    assert found.do == "ask"
    assert found.why == "changed and reference agree that traffic has drifted"
    assert found.evidence == {"changed": [20.0, 10.0], "reference": [30.0, 10.0]}


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ([], "no window of the running release is over yet"),
        ([replace(ASKING, release=NEW)] * 9, "no window of the running release is over yet"),
        ([QUIET, QUIET], "nothing unusual"),
        ([ASKING, WARNING], "one detector alone warns"),
        ([QUIET, ASKING], "1 of 2 windows in a row ask"),
        ([ASKING], "1 of 2 windows in a row ask"),
        ([replace(QUIET, signals=[])], "the running release has no baseline, so drift is not looked for"),
    ],
)
def test_anything_less_changes_nothing(windows: list[Window], why: str) -> None:
    found = next_after([], windows, AUTO, OLD, 0.0)
    assert (found.do, found.why) == ("watch", why)


@pytest.mark.parametrize("end", ["refused", "dropped", "settled", "returned"])
def test_after_an_end_it_cools_down(end: str) -> None:
    ended = [event("asked"), event("approved"), event(end, at=100.0)]
    assert next_after(ended, [ASKING] * 2, AUTO, OLD, 1000.0).why.endswith("100 s of the cool-down are left")
    assert next_after(ended, [ASKING] * 2, AUTO, OLD, 1101.0).do == "ask"


def test_retrainings_have_a_budget() -> None:
    used = [event("approved", at=10.0), event("refused", at=20.0), event("approved", at=5000.0)]
    used.append(event("dropped", at=6000.0))
    assert "all 2 of thirty days were used" in next_after(used, [ASKING] * 2, AUTO, OLD, 9000.0).why
    assert next_after(used, [ASKING] * 2, AUTO, OLD, 31 * 86_400.0).do == "ask"


def test_without_another_word_a_person_has_to_approve() -> None:
    asked = [event("asked")]
    assert next_after(asked, [], Lifecycle(), OLD, 0.0).do == "wait"
    assert next_after(asked, [], AUTO, OLD, 0.0).do == "approve"


@pytest.mark.parametrize(
    ("last", "do"),
    [
        ("approved", "train"),
        ("trained", "try"),
        ("tried", "judge"),
        ("held", "judge"),
        ("promoted", "settle"),
    ],
)
def test_what_was_begun_goes_on_whatever_the_windows_say(last: str, do: str) -> None:
    assert next_after([event("asked"), event(last)], [], AUTO, OLD, 0.0).do == do


def test_a_warning_is_enough_if_the_settings_say_so() -> None:
    settings = AUTO.model_copy(update={"retrain_on": "warning"})
    found = next_after([], [WARNING, ASKING, WARNING], settings, OLD, 0.0)
    assert (found.do, found.why) == ("ask", "changed says that traffic has drifted")
    assert next_after([], [QUIET, WARNING], settings, OLD, 0.0).why == "1 of 2 windows in a row ask"
