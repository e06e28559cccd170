"""Steps of a rollout with a real catalogue, real keys and reports as sites send them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.exchange.contract import Drift, Metrics, Status, encode
from scenario_model.exchange.inbox import Inbox
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.rollout import journal
from scenario_model.rollout.settings import RolloutSettings
from scenario_model.rollout.step import Rollout
from scenario_model.signing import keys
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.exchange.contract import Message
    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]
RINGS = ("first", "early")


class Fleet:
    """A rollout with sites in two rings; `now` passes as a test wants it."""

    def __init__(self, world: World) -> None:
        store = FolderStore(world.store)
        self.world, self.store, self.now, self._sent = world, store, 1_800_000_000.0, dict[str, int]()
        key = keys.load_private(world.folder / "keys" / "online.pem")
        self.rollout = Rollout(
            name="assistant",
            settings=RolloutSettings(rings=RINGS, soak_seconds=100.0, initial="ring-by-ring"),
            store=store,
            keeper=world.keeper(),
            inbox=Inbox(store, "test"),
            enrolments=Enrolments(store),
            key=key,
            signer=world.online,
            release_key=keys.load_public(world.key_pair.public),
        )
        for ring in RINGS:
            for number in range(3):
                site = f"{ring}-{number}"
                secret = self.rollout.enrolments.invite(site, ring, self.now + 60)
                self.rollout.enrolments.enrol(site, secret, self.now)

    def want(self, number: int) -> str:
        """Somebody asks for a release to be rolled out."""
        release = self.world.releases[number - 1]
        channel.promote(
            self.store,
            release,
            "rollout",
            self.rollout.key,
            at="2027-01-01T00:00:00+00:00",
            by="a person",
            release_key=self.rollout.release_key,
        )
        return release

    def step(self, seconds: float = 0.0) -> str:
        self.now += seconds
        decision = self.rollout.step(self.now)
        return f"{decision.action} {decision.ring}".strip()

    def report(self, site: str, release: str, *, refusal: str = "") -> None:
        """A site serves a release well for three periods, or gives it up."""
        messages: list[Metrics | Status] = [
            Metrics(at=self.now, release=release, seconds=60.0, answered=100) for _ in range(3)
        ]
        if refusal:
            messages = [
                Status(
                    at=self.now,
                    release=None,
                    state="serving",
                    package="0.1.0",
                    assigned=release,
                    refusal=refusal,  # type: ignore[arg-type]
                    step="refused",
                )
            ]
        self.send(site, messages)

    def drifted(self, ring: str, release: str, asks: Literal["nothing", "retraining"] = "retraining") -> None:
        """Detectors of a ring's sites have seen a window of a release's traffic."""
        told = Drift(at=self.now, release=release, window_seconds=900.0, units=16, asks=asks)
        for number in range(3):
            self.send(f"{ring}-{number}", [told])

    def send(self, site: str, messages: Sequence[Message]) -> None:
        first = self._sent.get(site, 0) + 1
        self._sent[site] = first + len(messages) - 1
        numbered = [(first + place, encode(message)) for place, message in enumerate(messages)]
        self.rollout.inbox.take(self.now, {site: numbered})

    def ring(self, ring: str, release: str) -> None:
        for number in range(3):
            self.report(f"{ring}-{number}", release)

    def serves(self, ring: str) -> str | None:
        visitor = self.world.visitor("looks-on")
        visitor.visit()
        assigned = visitor.assignment("nobody", ring)
        return assigned.release if assigned else None


@pytest.fixture
def fleet(world: World) -> Fleet:
    return Fleet(world)


def through(fleet: Fleet, number: int) -> str:
    release = fleet.want(number)
    for ring in RINGS:
        assert fleet.step() == f"advance {ring}"
        fleet.ring(ring, release)
        fleet.now += 200
    assert fleet.step() == "done"
    return release


def test_a_release_goes_from_ring_to_ring_and_its_history_says_when_and_why(fleet: Fleet) -> None:
    release = fleet.want(2)
    assert fleet.step() == "advance first"
    assert fleet.step(10) == "hold"
    fleet.ring("first", release)
    assert fleet.step(10) == "hold"
    assert (fleet.serves("first"), fleet.serves("early")) == (release, None)
    assert fleet.step(100) == "advance early"
    assert fleet.serves("early") == release
    fleet.ring("early", release)
    assert fleet.step(200) == "done"
    (entry,) = channel.history(fleet.store, "assistant", "ring-early", fleet.rollout.key.public_key())
    assert (entry.release, entry.by) == (release, "rollout: first is well")


def test_a_release_that_sites_give_up_goes_back_everywhere_and_is_not_tried_again(fleet: Fleet) -> None:
    good = through(fleet, 2)
    bad = fleet.want(3)
    assert fleet.step() == "advance first"
    fleet.report("first-0", bad, refusal="load")
    assert fleet.step(1) == "back"
    assert fleet.serves("first") == good
    assert fleet.step(1) == "done"
    fleet.want(3)
    assert fleet.step(1) != "advance first"
    assert fleet.serves("first") == good
    (halted,) = channel.history(fleet.store, "assistant", "halted", fleet.rollout.key.public_key())
    assert (halted.release, halted.by.startswith("rollout: 1 of 1 sites failed")) == (bad, True)


def test_a_first_release_that_fails_is_held_where_it_is(fleet: Fleet) -> None:
    bad = fleet.want(1)
    assert fleet.step() == "advance first"
    fleet.report("first-0", bad, refusal="load")
    assert fleet.step(1) == "hold"
    assert fleet.step(1000) == "hold"
    assert (fleet.serves("first"), fleet.serves("early")) == (bad, None)


class Killed(Exception):  # noqa: N818
    """The step ends here."""


def killed_at(place: int, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do a step that is killed at its write number `place`, if it has so many."""
    left = [place]

    def counted(original: object) -> object:
        def call(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return original(*arguments, **options)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        for name in ("create", "swap"):
            patch.setattr(FolderStore, name, counted(getattr(FolderStore, name)))
        try:
            fleet.step(1)
        except Killed:
            assert left == [0]


@pytest.mark.parametrize("place", range(8))
def test_a_step_that_is_killed_anywhere_is_repeated(
    fleet: Fleet, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = through(fleet, 2)
    bad = fleet.want(3)
    fleet.step()
    fleet.report("first-0", bad, refusal="load")
    killed_at(place, fleet, monkeypatch)
    fleet.step(1)
    assert fleet.serves("first") == good
    assert fleet.step(1) == "done"


def test_nothing_is_done_until_something_is_wanted(fleet: Fleet) -> None:
    assert fleet.step() == "hold"
    assert replace(fleet.rollout, name="other").step(fleet.now).action == "hold"


def test_a_first_release_goes_to_all_rings_at_once_and_a_new_ring_gets_what_the_last_one_has(
    fleet: Fleet,
) -> None:
    rollout = fleet.rollout
    fleet.rollout = replace(rollout, settings=RolloutSettings(rings=RINGS, soak_seconds=100.0))
    first = fleet.want(1)
    assert fleet.step() == "hold"
    assert {fleet.serves(ring) for ring in RINGS} == {first}
    for ring in RINGS:
        fleet.ring(ring, first)
    assert fleet.step(200) == "done"
    second = fleet.want(2)
    fleet.rollout = replace(rollout, settings=RolloutSettings(rings=(*RINGS, "late"), soak_seconds=100.0))
    assert fleet.step() == "advance first"
    assert [fleet.serves(ring) for ring in (*RINGS, "late")] == [second, first, first]


def test_a_ring_whose_sites_have_said_nothing_yet_is_waited_for(fleet: Fleet) -> None:
    fleet.want(2)
    assert fleet.step() == "advance first"
    decision = fleet.rollout.step(fleet.now + 10_000)
    assert (decision.action, decision.why) == ("hold", "no site of first is present")


def events(fleet: Fleet, release: str) -> list[tuple[str, str]]:
    log = journal.entries(fleet.store, release, fleet.rollout.key.public_key())
    return [(entry.action, entry.why) for entry in log]


def test_drift_within_a_rollout_is_the_releases_fault(fleet: Fleet) -> None:
    good = through(fleet, 2)
    new = fleet.want(3)
    assert fleet.step(1) == "advance first"
    fleet.ring("first", new)
    fleet.drifted("first", new)
    assert fleet.step(1) == "back"
    assert fleet.serves("first") == good
    assert "asked" not in dict(events(fleet, new))


def test_drift_later_is_the_traffics_and_asks_for_another_release_instead_of_the_former_one(
    fleet: Fleet,
) -> None:
    through(fleet, 2)
    release = through(fleet, 3)
    fleet.now += 20_000
    fleet.ring("early", release)
    fleet.drifted("early", release, "nothing")
    assert fleet.rollout.step(fleet.now).asks == ""
    fleet.now += 100
    fleet.drifted("first", release)
    decision = fleet.rollout.step(fleet.now)
    assert (decision.action, fleet.serves("first"), fleet.serves("early")) == ("done", release, release)
    words = f"retraining of {release} is asked for by 3 of 6 sites, since 2027-01-"
    assert decision.asks.startswith(words)
    assert [action for action, _ in events(fleet, release)] == ["done", "asked"]
    assert events(fleet, release)[1] == ("asked", decision.asks)
    fleet.now += 900
    fleet.drifted("early", release)
    told = fleet.rollout.step(fleet.now).asks
    assert "by 6 of 6 sites" in told
    assert told.endswith(decision.asks.rpartition("since ")[2]), "it is asked for since the first did"
    assert len(events(fleet, release)) == 2, "once"


def test_the_next_release_is_not_blamed_for_what_made_people_ask_for_it_and_then_nobody_asks(
    fleet: Fleet,
) -> None:
    former = through(fleet, 2)
    fleet.drifted("first", former)
    fleet.drifted("early", former)
    assert "6 of 6 sites" in fleet.rollout.step(fleet.now).asks
    new = fleet.want(3)
    for ring in RINGS:
        assert fleet.step() == f"advance {ring}"
        fleet.ring(ring, new)
        # Of these sites it is known that their traffic had drifted before.
        fleet.drifted(ring, new)
        fleet.now += 200
        fleet.drifted(ring, new, "nothing")
    assert fleet.step() == "done"
    assert fleet.rollout.step(fleet.now).asks == ""
    assert [action for action, _ in events(fleet, new)] == ["done"]


def test_a_ring_that_nobody_asks_does_not_keep_a_rollout_from_its_end_for_ever(fleet: Fleet) -> None:
    through(fleet, 2)
    release = fleet.want(3)
    assert fleet.step() == "advance first"
    fleet.ring("first", release)
    assert fleet.step(200) == "advance early"
    fleet.now += 7 * 86_400
    fleet.ring("first", release)
    assert fleet.step() == "hold"
    fleet.now += 1
    fleet.drifted("first", release)
    decision = fleet.rollout.step(fleet.now)
    assert (decision.action, fleet.serves("first")) == ("hold", release)
    assert "3 of 3 sites" in decision.asks
    assert events(fleet, release)[0] == ("done", "all rings have had it for a week")


def test_a_few_sites_of_many_do_not_ask_for_all_and_who_is_away_or_revoked_does_not_count(
    fleet: Fleet,
) -> None:
    fleet.rollout = replace(
        fleet.rollout, settings=fleet.rollout.settings.model_copy(update={"retraining_share": 0.6})
    )
    release = through(fleet, 2)
    for ring in RINGS:
        fleet.drifted(ring, release, "nothing")
    fleet.drifted("first", release)
    assert fleet.rollout.step(fleet.now).asks == "", "3 of 6"
    fleet.rollout.enrolments.revoke("early-0", fleet.now)
    fleet.rollout.enrolments.revoke("early-1", fleet.now)
    assert "3 of 4 sites" in fleet.rollout.step(fleet.now).asks
    fleet.now += 5000
    assert fleet.rollout.step(fleet.now).asks == ""


def test_a_first_release_that_does_not_fit_is_held_and_another_one_asked_for(fleet: Fleet) -> None:
    release = fleet.want(1)
    assert fleet.step() == "advance first"
    fleet.drifted("first", release)
    fleet.step(1)
    decision = fleet.rollout.step(fleet.now)
    assert decision.action == "hold"
    assert "3 of 3 sites" in decision.asks
