"""What is known of sites, step by step: the same as from all reports at once, and never read twice."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import Refused
from scenario_model.exchange.contract import Drift, Message, Metrics, Status, encode
from scenario_model.exchange.inbox import Inbox
from scenario_model.release.store import FolderStore
from scenario_model.rollout.judge import verdict
from scenario_model.rollout.settings import Judgement
from scenario_model.rollout.tally import Tally, tallies
from scenario_model.rollout.watching import Watch
from tests.model.rollout.test_decide import NEW, OLD, period

if TYPE_CHECKING:
    from pathlib import Path

RULES, START = Judgement(), 1_800_000_000.0
FOLDER = f"tallies/{NEW.rpartition(':')[2]}-{int(START)}"


class Sites:
    """Sites that report by chance, over hours; what each has said."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.store, self.dice = FolderStore(folder), random.Random(seed)
        self.inbox = Inbox(self.store, "test")
        self.said: dict[str, list[Message]] = {f"site-{number}": [] for number in range(6)}

    def report(self, now: float) -> None:
        batch = {}
        for name, messages in self.said.items():
            if self.dice.random() < 0.7:
                messages.append(self.message(now))
                content = encode(messages[-1])
                batch[name] = [(len(messages), content)]
                if self.dice.random() < 0.2:  # its acknowledgement was lost
                    self.inbox.take(now, {name: [(len(messages), content)]})
        self.inbox.take(now, batch)

    def message(self, now: float) -> Message:
        release = OLD if now < START or self.dice.random() < 0.3 else NEW
        if self.dice.random() < 0.02:
            return Status(
                at=now, release=OLD, state="serving", package="0.1.0", assigned=release, refusal="load"
            )
        return period(release, failed=self.dice.choice([0, 0, 0, 10]), ms=self.dice.choice([30, 40, 90]))


@pytest.mark.parametrize("seed", range(4))
def test_step_by_step_every_site_is_judged_as_by_all_its_reports_at_once(tmp_path: Path, seed: int) -> None:
    sites = Sites(tmp_path, seed)
    for minute in range(-50, 90):
        now = START + 60.0 * minute
        sites.report(now)
        if minute >= 0 and minute % 7 == 0:
            found = tallies(NEW, START, now + 1, sites.inbox, sites.store, RULES)
            for name, tally in found.items():
                assert tally.verdict == verdict(NEW, sites.said[name], RULES), (minute, name)
                assert (tally.decided_at is None) == (tally.verdict == "unknown")
    assert len(sites.store.children(FOLDER)) > 3


def test_a_step_reads_what_is_new_and_not_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = Sites(tmp_path, 0)
    for minute in range(-60, 240):
        sites.report(START + 60.0 * minute)
    now = START + 240 * 60.0
    tallies(NEW, START, now, sites.inbox, sites.store, RULES)
    read: list[str] = []
    original = FolderStore.read

    def noted(self: FolderStore, key: str) -> bytes | None:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(FolderStore, "read", noted)
    tallies(NEW, START, now + 60, sites.inbox, sites.store, RULES)
    assert 0 < len([key for key in read if key.startswith("reports/")]) < 40, "of some 600 objects"


def test_a_late_object_of_a_receiver_is_not_missed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    early, late = Inbox(store, "a"), Inbox(store, "b")
    now = START + 3600
    early.take(now, {"here": [(1, encode(period()))]})
    assert tallies(NEW, START, now + 1, early, store, RULES)["here"].number == 1
    # It began before the step, and was written after it.
    late.take(now - 30, {"there": [(1, encode(period()))]})
    assert set(tallies(NEW, START, now + 1000, early, store, RULES)) == {"here", "there"}


def test_drift_counts_against_a_release_until_it_was_settled_and_what_sites_ask_for_is_kept(
    tmp_path: Path,
) -> None:
    store = FolderStore(tmp_path)
    inbox, asked = Inbox(store), START + 5000
    drift = Drift(at=0, release=NEW, window_seconds=900, units=16, asks="retraining")
    inbox.take(asked, {"here": [(1, encode(drift))]})
    for settled, verdict_then in ((asked - 1, "unknown"), (asked + 1, "failed")):
        inside = FolderStore(tmp_path / str(settled))
        # Read from the reports, and then from what was kept.
        for now in (asked + 2000, asked + 2001):
            here = tallies(NEW, START, now, inbox, inside, RULES, settled=settled)["here"]
            assert (here.verdict, here.watch) == (verdict_then, Watch(NEW, asked))


def test_what_an_earlier_version_kept_is_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    kept = asdict(Tally(number=7, seen_at=START, verdict="well", decided_at=START))
    del kept["watch"]
    store.create(f"{FOLDER}/{int(START * 1000):014d}.gz", gzip.compress(json.dumps({"here": kept}).encode()))
    here = tallies(NEW, START, START + 60, Inbox(store), store, RULES)["here"]
    assert (here.number, here.verdict, here.watch) == (7, "well", Watch())


def test_tallies_that_were_damaged_are_named_with_the_remedy(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create(f"{FOLDER}/{int(START * 1000):014d}.gz", b"rubbish")
    with pytest.raises(Refused, match=r"tallies/.*\.gz: is not an object of tallies; remove it"):
        tallies(NEW, START, START + 60, Inbox(store), store, RULES)


def test_without_reports_nothing_is_known(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert tallies(NEW, START, START + 60, Inbox(store), store, RULES) == {}
    assert isinstance(period(), Metrics)
