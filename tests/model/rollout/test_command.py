"""`scenario-model rollout`, as an operator uses it: start, steps, and what ran where when."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.errors import Refused
from scenario_model.exchange.contract import Status, encode
from scenario_model.exchange.inbox import Inbox
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.rollout.command import command
from scenario_model.rollout.step import HALTED
from scenario_model.signing import keys
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]


class Operator:
    """Runs the commands on a catalogue; `settings` of a rollout that does not wait."""

    def __init__(self, world: World) -> None:
        self.world, self.settings = world, world.folder / "rollout.json"
        self.settings.write_text(
            json.dumps({"rings": ["first", "all"], "soak_seconds": 0.001, "initial": "ring-by-ring"})
        )

    def run(self, *arguments: object) -> Any:
        keys = self.world.folder / "keys"
        options = {
            "start": [
                "--online-key",
                keys / "online.pem",
                "--release-public-key",
                self.world.key_pair.public,
            ],
            "status": ["--online-public-key", keys / "online.pub"],
        }
        options["step"] = [*options["start"], "--config", self.settings]
        name = str(arguments[0])
        words = map(str, [*arguments, "--store", self.world.store, *options[name], "--json"])
        ran = CliRunner().invoke(command, list(words))
        if ran.exception and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code == 0, ran.output
        return json.loads(ran.stdout)


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world)


def test_a_release_is_started_led_through_all_rings_and_found_in_the_history(operator: Operator) -> None:
    release = operator.world.releases[2]
    assert operator.run("start", release) == {"release": release, "changed": True}
    assert operator.run("start", release)["changed"] is False
    done = []
    for _ in range(3):
        done.append(operator.run("step", "assistant"))
        time.sleep(1.1)  # histories tell whole seconds
    assert [(each["action"], each["ring"]) for each in done] == [
        ("advance", "first"),
        ("advance", "all"),
        ("done", ""),
    ]
    rings = operator.run("status", "assistant")["rings"]
    assert [(each["ring"], each["release"]) for each in rings] == [("all", release), ("first", release)]
    assert rings[0]["by"] == "rollout: first is well"
    earlier = operator.run("status", "assistant", "--at", rings[1]["since"].partition("+")[0])
    assert [each["ring"] for each in earlier["rings"]] == ["first"]
    assert "sites" not in earlier
    assert operator.run("status", "assistant", "--at", "2020-01-01")["rings"] == []


def test_a_site_that_is_away_or_was_never_seen_is_not_shown_as_healthy(operator: Operator) -> None:
    store, now = FolderStore(operator.world.store), time.time()
    enrolments, inbox = Enrolments(store), Inbox(store)
    for site in ("here", "away", "silent", "revoked"):
        enrolments.enrol(site, enrolments.invite(site, "first", now + 60), now)
    enrolments.invite("expected", "first", now + 60)
    enrolments.revoke("revoked", now)
    status = Status(
        at=now,
        release=operator.world.releases[0],
        state="serving",
        step="refused",
        refusal="floor",
        package="0.1.0",
    )
    inbox.take(now - 5000, {"away": [(1, encode(status))]})
    inbox.take(now - 5, {"here": [(1, encode(status))], "revoked": [(1, encode(status))]})
    told = {each["site"]: each["state"] for each in operator.run("status", "assistant")["sites"]}
    assert told.pop("away").startswith("away since 20")
    assert told == {"here": "serving, refused (floor)", "silent": "never seen"}


def test_what_is_not_listed_is_not_started(operator: Operator, tmp_path: Path) -> None:
    del tmp_path
    with pytest.raises(Refused, match="is not in the catalogue; list it first"):
        operator.run("start", f"assistant@sha256:{'0' * 64}")


def test_what_was_halted_is_started_again_only_with_again(operator: Operator) -> None:
    world, release = operator.world, operator.world.releases[2]
    key = keys.load_private(world.folder / "keys" / "online.pem")
    trusted = keys.load_public(world.key_pair.public)
    channel.promote(FolderStore(world.store), release, HALTED, key, **channel.stamp(), release_key=trusted)
    with pytest.raises(Refused, match=r"was halted by the rollout; .*or `rollout start --again`"):
        operator.run("start", release)
    assert operator.run("start", release, "--again") == {"release": release, "changed": True}
    (trial,) = operator.run("status", "assistant")["trials"]
    assert (trial["action"], trial["release"]) == ("again", release)
    assert operator.run("status", "assistant", "--at", "2020-01-01")["trials"] == []
