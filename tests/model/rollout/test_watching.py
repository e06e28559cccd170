"""What a site's detectors ask for, report by report."""

from __future__ import annotations

from typing import Literal

from scenario_model.exchange.contract import Drift
from scenario_model.rollout.watching import Asking, Watch, asking
from tests.model.rollout.test_decide import NEW, OLD, period

Asks = Literal["nothing", "warning", "retraining"]


def told(*asks: Asks, release: str = OLD) -> Watch:
    """A site whose windows end at 1, 2 and so on."""
    watch = Watch()
    for at, each in enumerate(asks, start=1):
        watch.add(Drift(at=0, release=release, window_seconds=900, units=16, asks=each), float(at))
    return watch


def test_a_site_asks_since_the_first_of_the_windows_in_a_row_that_do() -> None:
    assert told("nothing", "retraining", "retraining").since == 2.0
    assert told("retraining", "warning", "retraining").since == 3.0
    assert told("retraining", "nothing").since is None


def test_with_another_release_it_asks_for_nothing_until_that_has_been_watched() -> None:
    watch = told("retraining")
    watch.add(period(OLD), 2.0)
    assert watch.since == 1.0
    watch.add(period(NEW), 3.0)
    assert watch == Watch()
    watch.add(Drift(at=0, release=NEW, window_seconds=900, units=16, asks="retraining"), 4.0)
    assert watch == Watch(NEW, 4.0)


def test_those_count_that_watch_the_release() -> None:
    watches = [told("retraining"), told("nothing"), told("retraining", release=NEW), Watch()]
    assert asking(watches, OLD) == Asking(OLD, 1, 2, 1.0)
    assert asking([told("nothing"), Watch()], OLD) is None
    assert str(Asking(OLD, 1, 2, 0.0)) == (
        f"retraining of {OLD} is asked for by 1 of 2 sites, since 1970-01-01T00:00:00+00:00"
    )
