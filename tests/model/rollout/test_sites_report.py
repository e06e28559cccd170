"""What sites say of drift, in a file for where models are trained; and to an operator who asks."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal

import pytest
from click.testing import CliRunner

from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.drift.agreement import SHARES, threshold
from scenario_model.errors import InputError, Refused
from scenario_model.exchange.contract import Drift, Signal, encode
from scenario_model.exchange.inbox import Inbox
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.report import drift_report
from scenario_model.report.command import command as report_command
from scenario_model.rollout.command import command
from scenario_model.serve import credentials
from scenario_model.signing import keys
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]
WINDOW = 900.0


class Cloud:
    """A catalogue with four sites, which have reported a window each at 1, 2 and 3 quarters of an hour ago."""

    def __init__(self, world: World, tmp_path: Path) -> None:
        self.world, self.store, self.now = world, FolderStore(world.store), time.time()
        self.release, self._inbox, self._sent = world.releases[0], Inbox(self.store), dict[str, int]()
        self.tls, self.out = (
            credentials.ensure(tmp_path / "tls", ["localhost"]).directory,
            tmp_path / "report",
        )
        enrolments = Enrolments(self.store)
        for number in range(4):
            name = f"site-{number}"
            enrolments.enrol(name, enrolments.invite(name, "first", self.now + 60), self.now)

    def window(self, site: str, ago: int, factor: float = 0.1, *, names: Any = tuple(SHARES)) -> None:
        """A window was over so many windows ago, with this share of each detector's threshold."""
        at = self.now - 10 - WINDOW * ago
        most = {name: threshold(name, 10_000) if name in SHARES else 5.0 for name in names}
        signals = tuple(Signal(name=name, value=factor * most[name], threshold=most[name]) for name in names)
        asks: Literal["nothing", "retraining"] = "retraining" if factor >= 1 else "nothing"
        told = Drift(at=at, release=self.release, window_seconds=WINDOW, units=16, signals=signals, asks=asks)
        self._sent[site] = self._sent.get(site, 0) + 1
        self._inbox.take(at, {site: [(self._sent[site], encode(told))]})

    def report(self, out: object = "") -> Any:
        pair = ["--certificate", self.tls / "server.pem", "--private-key", self.tls / "server.key"]
        options = ["report", "assistant", "--store", self.world.store, "--out", out or self.out, *pair]
        done = CliRunner().invoke(command, list(map(str, options)))
        if done.exception:
            raise done.exception
        return done

    def status(self) -> str:
        key = self.world.folder / "keys" / "online.pub"
        options = ["status", "assistant", "--store", self.world.store, "--online-public-key", key]
        done = CliRunner().invoke(command, list(map(str, options)), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture
def cloud(world: World, tmp_path: Path) -> Cloud:
    return Cloud(world, tmp_path)


def test_a_report_has_the_evidence_of_the_site_that_asked_first_and_says_how_many_ask(cloud: Cloud) -> None:
    for ago in (3, 2, 1, 0):
        cloud.window("site-0", ago)
        cloud.window("site-1", ago, 3.0 if ago < 2 else 0.1)
        cloud.window("site-2", ago, 2.0 if ago < 1 else 0.1)
    assert cloud.report().output == f"{cloud.out}: {cloud.release}: 2 of 3 sites ask for retraining\n"
    found = drift_report.read(cloud.out, cloud.tls / "ca.pem").report
    assert (found.drift.release, found.drift.asks) == (cloud.release, "retraining")
    assert (found.windows, found.asking, found.windows_per_false_alarm) == (4, 2, 10_000)
    assert {each.value / each.threshold for each in found.drift.signals} == {3.0}
    assert found.sites
    assert (found.sites.asking, found.sites.watching) == (2, 3)
    assert found.sites.since == pytest.approx(cloud.now - 10 - WINDOW, abs=0.1)
    shown = ["show", str(cloud.out), "--authority", str(cloud.tls / "ca.pem")]
    assert "  2 of 3 sites ask for it, since 20" in CliRunner().invoke(report_command, shown).output
    assert "site-" not in cloud.out.read_text(), "no site is named"


def test_a_report_may_be_written_where_nothing_can_be_kept(cloud: Cloud) -> None:
    cloud.window("site-0", 0, 2.0)
    done = cloud.report("-")
    assert json.loads(done.stdout)["report"]["sites"]["asking"] == 1
    assert done.stderr.startswith(f"-: {cloud.release}: 1 of 1 sites ask")


def test_nothing_is_written_if_too_few_ask_or_those_that_do_are_away(cloud: Cloud) -> None:
    with pytest.raises(Refused, match=r"^0 of 0 present sites that watch assistant ask for retraining"):
        cloud.report()
    cloud.window("site-0", 2, 2.0)
    cloud.window("site-1", 0)
    with pytest.raises(Refused, match=r"^0 of 1 present sites .*; wait, or lower rollout\.retraining_share"):
        cloud.report()
    assert not cloud.out.exists()


def test_detectors_of_another_version_are_named_as_such(cloud: Cloud) -> None:
    cloud.window("site-0", 0, 2.0, names=("one", "other"))
    with pytest.raises(InputError, match="site site-0: none of its detectors is known here; use its version"):
        cloud.report()


def test_an_operator_sees_how_many_sites_ask_and_since_when(cloud: Cloud) -> None:
    trusted = keys.load_public(cloud.world.key_pair.public)
    key = keys.load_private(cloud.world.folder / "keys" / "online.pem")
    channel.promote(cloud.store, cloud.release, "ring-first", key, **channel.stamp(), release_key=trusted)
    cloud.window("site-0", 0)
    assert "retraining" not in cloud.status()
    cloud.window("site-1", 0, 2.0)
    *_, one, other, _, _, last = cloud.status().splitlines()
    assert (one.endswith("present"), other.endswith("present, asks for retraining")) == (True, True)
    assert last.startswith(f"retraining of {cloud.release} is asked for by 1 of 2 sites, since 20")
