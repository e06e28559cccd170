"""Trials in a real catalogue: killed anywhere, replaced by another release, begun again, two steps at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from scenario_model.catalogue.documents import Assignment, site_target
from scenario_model.errors import Refused
from scenario_model.exchange.inbox import Inbox
from scenario_model.release import channel
from scenario_model.rollout import journal
from scenario_model.rollout.publishing import begin_again, refuse_halted
from scenario_model.rollout.site_targets import assigned_sites
from scenario_model.rollout.trial_run import TrialRun
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world
from tests.model.rollout.test_step import Fleet, killed_at

if TYPE_CHECKING:
    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]


class Trials(Fleet):
    """A fleet whose first ring has twelve sites, of which two try a release first; all serve the second one."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        settings = self.rollout.settings.model_copy(update={"first_sites": 2})
        self.rollout = replace(self.rollout, settings=settings)
        for number in range(3, 12):
            secret = self.rollout.enrolments.invite(f"first-{number}", "first", self.now + 60)
            self.rollout.enrolments.enrol(f"first-{number}", secret, self.now)
        self.good = self.want(2)
        self.settle(self.good)

    def settle(self, release: str) -> None:
        for _ in range(9):
            self.everywhere(release)
            if self.step(200) == "done":
                return
        raise AssertionError("it does not come to its end")

    def everywhere(self, release: str) -> None:
        for number in range(12):
            self.report(f"first-{number}", release)
        self.ring("early", release)

    def trying(self) -> set[str]:
        return set(assigned_sites(self.rollout.keeper))

    def own(self, site: str) -> str | None:
        visitor = self.world.visitor(site)
        visitor.visit()
        assigned = visitor.assignment(site, "first")
        return assigned.release if assigned else None


@pytest.fixture
def fleet(world: World) -> Trials:
    return Trials(world)


def test_sites_that_try_it_have_it_and_their_ring_does_not_and_the_journal_says_who(fleet: Trials) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    assert fleet.step(1) == "try"
    (one, other) = fleet.trying()
    assert {fleet.own(one), fleet.own(other)} == {new}
    assert fleet.serves("first") == fleet.good
    (entry,) = journal.entries(fleet.store, new, fleet.rollout.key.public_key())
    assert (entry.action, entry.sites) == ("try", sorted([one, other]))


def test_when_they_are_well_the_ring_follows_and_they_follow_their_ring(fleet: Trials) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    fleet.step(1)
    fleet.settle(new)
    assert fleet.trying() == set()
    log = journal.entries(fleet.store, new, fleet.rollout.key.public_key())
    assert [(entry.action, len(entry.sites)) for entry in log] == [
        ("try", 2),
        ("try", 2),
        ("try", 4),
        ("end", 0),
        ("done", 0),
    ]


def test_what_a_person_assigned_to_a_site_stays(fleet: Trials) -> None:
    keeper, pinned = fleet.rollout.keeper, fleet.world.releases[0]
    keeper.assign(site_target("first-0"), Assignment("first-0", pinned, 0), fleet.world.online)
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    fleet.step(1)
    fleet.settle(new)
    assert assigned_sites(keeper) == {"first-0": pinned}


def test_another_release_ends_a_trial(fleet: Trials) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    fleet.step(1)
    assert len(fleet.trying()) == 2
    fleet.want(2)
    fleet.step(1)
    assert fleet.trying() == set()
    trial = journal.last_trial(journal.entries(fleet.store, new, fleet.rollout.key.public_key()))
    assert trial is not None
    assert not trial.open


@pytest.mark.slow
@pytest.mark.parametrize("place", range(1, 14))
@pytest.mark.parametrize("failing", [False, True])
def test_a_step_of_a_trial_that_is_killed_anywhere_is_repeated(
    fleet: Trials, place: int, failing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    if failing:
        fleet.step(1)
        fleet.report(min(fleet.trying()), new, refusal="load")
    killed_at(place, fleet, monkeypatch)
    fleet.step(1)
    if failing:
        assert fleet.trying() == set()
        assert fleet.serves("first") == fleet.good
    else:
        assert len(fleet.trying()) == 2
    log = journal.entries(fleet.store, new, fleet.rollout.key.public_key())
    assert [entry.action for entry in log] == (["try", "end"] if failing else ["try"])


def test_a_halted_release_is_begun_again_only_if_a_person_says_so_and_what_was_said_is_forgotten(
    fleet: Trials,
) -> None:
    new, key = fleet.want(3), fleet.rollout.key
    for _ in range(2):
        fleet.everywhere(fleet.good)
        assert fleet.step(1) == "try"
        fleet.report(min(fleet.trying()), new, refusal="load")
        assert fleet.step(1) == "back"
        with pytest.raises(Refused, match="or `rollout start --again`"):
            refuse_halted(fleet.store, new, key)
        begin_again(fleet.store, new, key, at="2027-02-01T00:00:00+00:00", by="a person")
        refuse_halted(fleet.store, new, key)
        fleet.want(3)
        fleet.now += 5000
    fleet.everywhere(fleet.good)
    fleet.step(1)
    fleet.settle(new)


def test_a_step_that_chose_its_sites_before_another_one_did_lets_no_others_try(
    fleet: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    late = replace(fleet.rollout, keeper=fleet.world.keeper(), inbox=Inbox(fleet.store))
    read = TrialRun.log

    def reads_then_another_steps(run: TrialRun, release: str) -> list[journal.Entry]:
        found = read(run, release)
        if release == new:
            monkeypatch.setattr(TrialRun, "log", read)
            assert fleet.step(1) == "try"
        return found

    monkeypatch.setattr(TrialRun, "log", reads_then_another_steps)
    with pytest.raises(Refused, match="has an entry more than was read") as refused:
        late.step(fleet.now + 1)
    assert refused.value.remedy == "run it again"
    assert len(fleet.trying()) == 2
    assert len(journal.entries(fleet.store, new, fleet.rollout.key.public_key())) == 1


def test_two_steps_at_once_harm_nothing_and_one_of_them_may_be_told_to_run_again(fleet: Trials) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    barrier, outcomes = threading.Barrier(2), list[str]()

    def run() -> None:
        rollout = replace(fleet.rollout, keeper=fleet.world.keeper(), inbox=Inbox(fleet.store))
        barrier.wait()
        try:
            outcomes.append(rollout.step(fleet.now + 1).action)
        except Refused as error:
            outcomes.append(error.remedy)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    assert "try" in outcomes
    fleet.step(1)
    assert len(fleet.trying()) == 2
    log = journal.entries(fleet.store, new, fleet.rollout.key.public_key())
    assert {site for entry in log for site in entry.sites} == fleet.trying()
    assert channel.history(fleet.store, "assistant", "rollout", fleet.rollout.key.public_key())


def test_a_journal_that_another_key_wrote_is_refused(fleet: Trials) -> None:
    new = fleet.want(3)
    fleet.everywhere(fleet.good)
    fleet.step(1)
    (path,) = (fleet.store.root / "rollouts" / "assistant" / new.rpartition(":")[2]).rglob("000001.json")
    content = path.read_text()
    path.unlink()
    path.write_text(content.replace("first-", "other-"))
    with pytest.raises(Refused, match=r"000001\.json: invalid signature: changed, or signed by another key"):
        journal.entries(fleet.store, new, fleet.rollout.key.public_key())
