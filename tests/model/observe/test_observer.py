"""The observer: what it notes, finds and keeps, and that it keeps no text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from scenario_model.drift.baseline import FILE
from scenario_model.errors import InputError
from scenario_model.observe.observer import Observer
from scenario_model.observe.settings import ObservationHere
from tests.model.drift.texts import Domain, made

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "assistant@sha256:" + "ab" * 32


said: list[str] = []
say = said.append


class Clock:
    def __init__(self) -> None:
        self.now = 900_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    directory = tmp_path / "release"
    (directory / FILE).parent.mkdir(parents=True)
    (directory / FILE).write_bytes(made(np.random.default_rng(1)).encoded())
    return directory


@pytest.fixture
def settings(tmp_path: Path) -> ObservationHere:
    return ObservationHere(window_seconds=60.0, windows_per_false_alarm=1000.0, state=tmp_path / "state")


def pass_window(observer: Observer, clock: Clock, domain: Domain | None, units: int = 16) -> None:
    for number in range(units if domain else 0):
        assert domain
        observer.note("a client", f"session {clock.now} {number}", tuple(domain.document()))
        observer.end(200, 12.0)
    clock.now += 60
    observer.look()


def test_usual_traffic_asks_for_nothing_and_other_traffic_for_retraining(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    random = np.random.default_rng(2)
    observer = Observer(settings, RELEASE, release, say, clock)
    for _ in range(20):
        pass_window(observer, clock, Domain(random))
    assert {each.asks for each in observer.log.read()} == {"nothing"}
    for _ in range(10):
        pass_window(observer, clock, Domain(random, moved=1.0))
    last = observer.log.read()[-1]
    assert (last.asks, last.release, last.units, last.answered) == ("retraining", RELEASE, 16, 16)
    assert last.first_token_ms
    assert list(last.first_token_ms) == [12.0, 12.0]


def test_lengths_and_losses_of_what_was_answered_are_kept_as_numbers(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    observer = Observer(settings, RELEASE, release, say, clock)
    for tokens in (10, 20, 300):
        observer.end(200, 12.0, tokens, 2 * tokens)
        observer.loss_of_prompt(tokens / 100)
    observer.end(503, None, 9999, 0)
    for _ in range(2):
        clock.now += 60
        observer.look()
    first, second = observer.log.read()
    assert [*(first.prompt_tokens or ())] == [20, 20]
    assert [*(first.answer_tokens or ())] == [40, 40]
    assert (first.loss, second.loss, observer.loss) == (0.2, None, 0.2)
    assert (second.prompt_tokens, second.answer_tokens) == (None, None)


def test_evidence_outlives_a_restart_but_not_the_release(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    random = np.random.default_rng(3)
    first = Observer(settings, RELEASE, release, say, clock)
    for _ in range(3):
        pass_window(first, clock, Domain(random, moved=1.0))
    assert Observer(settings, RELEASE, release, say, clock).signals == first.signals
    other = Observer(settings, RELEASE.replace("a", "c"), release, say, clock)
    assert {signal.value for signal in other.signals} == {0.0}
    assert len(list(settings.state.glob("*.safetensors"))) == 0, "of the former release"


def test_nothing_that_is_kept_has_a_client_a_session_or_a_text(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    observer = Observer(settings, RELEASE, release, say, clock)
    pass_window(observer, clock, Domain(np.random.default_rng(4)))
    kept = b"".join(path.read_bytes() for path in settings.state.iterdir())
    assert b"session" not in kept
    assert b"a client" not in kept
    # Evidence, and one number for each unit.
    assert {path.suffix for path in settings.state.iterdir()} == {".jsonl", ".safetensors"}
    (state,) = settings.state.glob("*.safetensors")
    assert state.stat().st_size < 2000


def test_windows_are_counted_for_a_release_without_a_baseline(
    settings: ObservationHere, tmp_path: Path, clock: Clock
) -> None:
    observer = Observer(settings, RELEASE, tmp_path, say, clock)
    observer.note("a", "", tuple(range(100)))
    for status in (200, 429, 503):
        observer.end(status, None)
    clock.now += 60
    observer.look()
    (window,) = observer.log.read()
    assert (window.answered, window.refused, window.failed, window.signals) == (1, 1, 1, [])


def test_a_baseline_that_is_none_is_refused_at_the_start(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    (release / FILE).write_bytes(b"rubbish")
    with pytest.raises(InputError, match="is not a baseline"):
        Observer(settings, RELEASE, release, say, clock)


def test_evidence_that_cannot_be_read_begins_anew(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    observer = Observer(settings, RELEASE, release, say, clock)
    pass_window(observer, clock, Domain(np.random.default_rng(5), moved=1.0))
    (state,) = settings.state.glob("*.safetensors")
    state.write_bytes(state.read_bytes()[:-8])
    assert {signal.value for signal in Observer(settings, RELEASE, release, say, clock).signals} == {0.0}
    assert "evidence begins anew" in said[-1]


def test_a_disk_without_room_stops_no_observation(
    settings: ObservationHere, release: Path, clock: Clock
) -> None:
    observer = Observer(settings, RELEASE, release, say, clock)
    for path in settings.state.iterdir():
        path.unlink()
    settings.state.rmdir()
    settings.state.write_text("in the way")
    pass_window(observer, clock, Domain(np.random.default_rng(6)))
    assert "observations cannot be kept" in said[-1]
    settings.state.unlink()
    pass_window(observer, clock, None)
    assert len(observer.log.read()) == 1
    assert json.loads((settings.state / "windows.jsonl").read_text())["units"] == 0
