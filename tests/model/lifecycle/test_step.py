"""Steps of a lifecycle, with a real store, keys and history; trainer and server say what they are told."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.errors import InputError, Refused, ScenarioModelError, TemporaryError
from scenario_model.lifecycle.history import served_at
from scenario_model.lifecycle.settings import LifecycleHere
from scenario_model.lifecycle.step import Step
from scenario_model.lifecycle.trainer import Trained
from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import WindowLog
from scenario_model.release import channel
from scenario_model.release.lifecycle_journal import Journal
from scenario_model.release.store import FolderStore
from scenario_model.signing import keys
from tests.model.lifecycle.test_policy import ASKING, QUIET
from tests.model.release.conftest import key_pair, make_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["key_pair", "make_release"]


@dataclass
class Server:
    """Serves what it was told, if it can."""

    follow: Path
    cannot: str = ""

    def told(self) -> str:
        return self.follow.read_text().strip() if self.follow.is_file() else ""

    def tell(self, release: str) -> None:
        self.follow.write_text(f"{release}\n")

    def ready(self) -> str:
        return "" if self.told() == self.cannot else self.told()


@dataclass
class Trainer:
    """Makes the release that it was given."""

    made: Trained
    trained: list[str] = field(default_factory=list)
    error: ScenarioModelError | None = None

    def run(self) -> str:
        return self.made.run

    def train(self, beside: Path, former: str) -> Trained:
        assert (beside / "release.json").is_file()
        self.trained.append(former)
        if self.error:
            raise self.error
        return self.made


class World:
    """A lifecycle of a release that is served, and another one that training makes."""

    def __init__(self, folder: Path, key_pair: Any, make_release: Callable[..., tuple[Path, str]]) -> None:
        self.store = FolderStore(folder / "store")
        self.old, self.new = (self._kept(make_release, note) for note in ("old", "new"))
        self.now = 1_000_000.0
        self.settings = LifecycleHere(
            approval="auto",
            cool_down_seconds=1000.0,
            canary_requests=100,
            canary_seconds=5000.0,
            store=str(folder / "store"),
            name="assistant",
            signing_key=str(key_pair.private),
            server="https://localhost:1",
            follow=folder / "release",
            observation=folder / "observation",
            canary=folder / "canary",
        )
        self.key = keys.signing_key(str(key_pair.private))
        self.server = Server(folder / "release")
        self.trainer = Trainer(Trained("another run", self.new, passed=True, why="it is better"))
        self.step = Step(self.settings, self.store, self.key, self.server, self.trainer, lambda: self.now)  # type: ignore[arg-type]
        stamp = channel.Stamp(at=datetime.fromtimestamp(self.now, UTC).isoformat(), by="a person")
        channel.promote(self.store, self.old, "stable", self.key, **stamp)

    def _kept(self, make_release: Callable[..., tuple[Path, str]], note: str) -> str:
        directory, release = make_release(note=note, run="sha256:" + note)
        self.store.upload(release, directory)
        return release

    def see(self, window: Any, times: int = 2) -> None:
        log = WindowLog(self.settings.observation / WINDOWS)
        for _ in range(times):
            log.add(replace(window, release=self.server.told() or self.old))

    def judged(self, state: str = "judging", canary: int = 100, running: int = 900, why: str = "") -> None:
        told = {"release": self.new, "state": state, "why": why, "canary": canary, "running": running}
        self.settings.observation.mkdir(exist_ok=True)
        told |= {"compared": canary, "worse": [], "beside": self.old}
        (self.settings.observation / "canary.json").write_text(json.dumps(told))

    def did(self) -> str:
        self.now += 1
        return self.step.run().did

    def events(self) -> list[str]:
        return [entry.event for entry in Journal(self.store, "assistant").entries(self.key.public_key())]

    def channel(self) -> str:
        return channel.history(self.store, "assistant", "stable", self.key.public_key())[-1].release

    def until_tried(self) -> None:
        self.see(ASKING)
        for _ in range(4):
            self.did()
        assert self.events()[-1] == "tried"


@pytest.fixture
def world(tmp_path: Path, key_pair: Any, make_release: Callable[..., tuple[Path, str]]) -> World:
    return World(tmp_path, key_pair, make_release)


def test_drifted_traffic_leads_to_a_better_release_that_is_tried_first(world: World) -> None:
    assert world.did() == "watch"
    assert world.server.told() == world.old, "whoever moved the channel"
    world.see(QUIET)
    assert world.did() == "watch"
    world.until_tried()
    assert world.settings.canary
    assert world.settings.canary.read_text().strip() == world.new
    assert world.trainer.trained == ["old"]
    assert world.did() == "wait", "the server has not taken it yet"
    world.judged(canary=99)
    assert world.did() == "wait"
    assert world.channel() == world.old
    world.judged()
    assert [world.did(), world.did(), world.did()] == ["promoted", "settled", "watch"]
    assert (world.channel(), world.server.told()) == (world.new, world.new)
    assert not world.settings.canary.exists()
    assert world.events() == ["asked", "approved", "trained", "tried", "promoted", "settled"]


def test_a_release_that_its_gate_refuses_is_never_tried(world: World) -> None:
    world.trainer.made = Trained("another run", world.new, passed=False, why="old domain: it lost 9 %")
    world.see(ASKING)
    assert [world.did() for _ in range(4)] == ["asked", "approved", "refused", "watch"]
    assert not (world.settings.canary or world.settings.follow).exists()
    assert world.channel() == world.old


@pytest.mark.parametrize(("state", "why"), [("worse", "errors"), ("failed", "does not verify")])
def test_a_canary_that_is_worse_is_dropped(world: World, state: str, why: str) -> None:
    world.until_tried()
    world.judged(state, canary=40, why=why)
    assert world.did() == "dropped"
    assert world.settings.canary
    assert not world.settings.canary.exists()
    last = Journal(world.store, "assistant").entries(world.key.public_key())[-1]
    assert why in last.why
    assert (world.channel(), world.server.told()) == (world.old, world.old)


def test_without_traffic_it_is_neither_promoted_nor_dropped_and_the_history_says_so_once(
    world: World,
) -> None:
    world.until_tried()
    world.judged(canary=7)
    world.now += 6000
    assert [world.did() for _ in range(3)] == ["held", "wait", "wait"]
    world.judged(canary=100, running=0)
    assert world.did() == "wait", "nothing to compare it with"
    world.judged()
    assert world.did() == "promoted"


def test_one_that_does_not_become_ready_is_taken_back(world: World) -> None:
    world.server.cannot = world.new
    world.until_tried()
    world.judged()
    assert world.did() == "promoted"
    assert world.did() == "wait"
    world.now += 700
    assert world.did() == "returned"
    assert (world.channel(), world.server.told()) == (world.old, world.old)


def test_without_new_data_nothing_is_asked(world: World) -> None:
    world.trainer.made = replace(world.trainer.made, run="old")
    world.see(ASKING)
    did = world.step.run()
    assert did.did == "watch"
    assert "there are no new data to train on" in did.why
    assert world.events() == []


def test_where_nothing_is_trained_it_asks_and_waits_for_a_release(world: World) -> None:
    step = Step(world.settings, world.store, world.key, world.server, None, lambda: world.now)  # type: ignore[arg-type]
    world.see(ASKING)
    assert step.run().did == "asked"
    assert step.run().did == "approved"
    waits = step.run()
    assert (waits.did, waits.why) == ("wait", "there is no trainer here: bring a release")


def test_a_person_approves_what_was_asked_and_nothing_else(world: World) -> None:
    person = replace(world.step, settings=world.settings.model_copy(update={"approval": "person"}))
    with pytest.raises(ScenarioModelError, match="nothing waits for approval"):
        person.approve("ann")
    world.see(ASKING)
    assert [person.run().did, person.run().did] == ["asked", "wait"]
    assert person.approve("ann").why == "approved by ann"
    assert person.run().did == "trained"


def test_training_that_was_stopped_is_tried_again_and_one_that_cannot_be_done_is_not(world: World) -> None:
    world.see(ASKING)
    world.did()
    world.did()
    world.trainer.error = TemporaryError("stopped")
    for _ in range(2):
        with pytest.raises(TemporaryError):
            world.did()
    world.trainer.error = InputError("the disk is full of rubbish", where="data")
    assert [world.did(), world.did()] == ["refused", "watch"]
    assert len(world.trainer.trained) == 3


class Killed(BaseException):
    """The process ended here."""


def test_killed_before_or_after_any_write_it_comes_to_the_same_history(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = 0

    def sometimes(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            made = real(*arguments, **more)
            left -= 1
            if left == 0:
                raise Killed
            return made

        return write

    monkeypatch.setattr(FolderStore, "create", sometimes(FolderStore.create))
    monkeypatch.setattr(Server, "tell", sometimes(Server.tell))
    monkeypatch.setattr("scenario_model.lifecycle.step.write_text", sometimes(lambda p, t: p.write_text(t)))
    world.see(ASKING)
    world.judged()
    kills = 0
    for moment in (3, 1, 2, 4, 2, 1, 3, 5, 2, 4, 1, 6, 2, 3, 7, 8, *[0] * 20):
        left = moment
        try:
            world.did()
        except Killed:
            kills += 1
    assert kills > 8
    assert world.events() == ["asked", "approved", "trained", "tried", "promoted", "settled"]
    assert (world.channel(), world.server.told()) == (world.new, world.new)
    moves = channel.history(world.store, "assistant", "stable", world.key.public_key())
    assert [move.release for move in moves] == [world.old, world.new]


def test_what_was_served_when_and_why_is_found_in_a_long_history_at_once(world: World) -> None:
    world.until_tried()
    world.judged()
    for _ in range(3):
        world.did()
    key = world.key.public_key()
    entries = Journal(world.store, "assistant").entries(key)
    came = datetime.fromtimestamp(world.now, UTC)
    served = served_at(world.store, "assistant", "stable", key, entries, came)
    assert (served.release, served.by, served.until) == (world.new, "lifecycle", "")
    assert served.why == "100 requests, and by no measure worse"
    before = served_at(world.store, "assistant", "stable", key, entries, came - timedelta(seconds=4))
    assert (before.release, before.by, before.until, before.why) == (world.old, "a person", served.since, "")
    with pytest.raises(InputError, match="nothing was served"):
        served_at(world.store, "assistant", "stable", key, entries, datetime.fromtimestamp(0, UTC))
    for number in range(200):
        other = (world.old, world.new)[number % 2]
        channel.promote(world.store, other, "stable", world.key, at=came.isoformat(), by="a person")
    began = time.monotonic()
    served_at(world.store, "assistant", "stable", key, Journal(world.store, "assistant").entries(key), came)
    assert time.monotonic() - began < 1


def test_a_history_that_somebody_changed_is_refused(world: World) -> None:
    world.until_tried()
    (first, *_) = sorted((world.store.root / "lifecycle" / "assistant").iterdir())
    first.write_text(first.read_text().replace("asked", "tried"))
    with pytest.raises(Refused, match="invalid signature: changed, or signed by another key"):
        world.did()
