"""A site's agent with a real catalogue and a server that may fail: whatever happens, the site goes on serving."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from scenario_model.catalogue.sources import FolderSource
from scenario_model.edge.agent import Agent
from scenario_model.edge.local_server import LocalServer
from scenario_model.edge.settings import CatalogueAccess, EdgeSettings
from scenario_model.edge.window import is_open
from scenario_model.release.names import ReleaseId
from tests.model.catalogue.conftest import key_pair, make_release, other_key_pair, pristine_world, world

if TYPE_CHECKING:
    from tests.model.catalogue.world import World

__all__ = ["key_pair", "make_release", "other_key_pair", "pristine_world", "world"]


class Server(LocalServer):
    """Becomes ready with what it is told, at once, unless that is `broken`. A stand-in: it serves nothing."""

    broken: frozenset[str] = frozenset()

    def ready(self) -> str:
        return "" if self.told() in self.broken else self.told()


def agent(world: World, **changes: object) -> Agent:
    folder = world.folder / "site"
    settings = EdgeSettings(
        site="here",
        ring="first",
        catalogue=CatalogueAccess(url=str(world.store), root=world.folder / "pinned.json"),
        verification_key=world.key_pair.public,
        store=folder / "store",
        follow=folder / "follow",
        state=folder / "state",
        ready_seconds=0.01,
    ).model_copy(update=changes)
    return Agent(
        settings,
        FolderSource(world.store),
        world.visitor("site/state/seen"),
        Server("https://127.0.0.1:1", settings.follow),
        sleep=lambda _: None,
    )


def stored(site: Agent) -> set[str]:
    return {path.name for path in site.settings.store.glob("releases/*/*")}


def test_what_is_assigned_is_brought_verified_and_served(world: World) -> None:
    site = agent(world)
    outcome = site.step()
    assert (outcome.step, outcome.serves, outcome.refusal) == ("idle", world.releases[1], "")
    assert site.server.told() == world.releases[1]
    assert not list((site.settings.state / "arriving").iterdir())
    assert site.step() == replace(outcome, assigned=world.releases[1])


def test_a_site_follows_from_release_to_release_and_keeps_the_former_one(world: World) -> None:
    site = agent(world)
    site.step()
    for number in (3, 1):
        world.assign("first", number)
        assert site.step().serves == world.releases[number - 1]
    names = [ReleaseId.parse(world.releases[number - 1]).digest.replace(":", "-") for number in (1, 3)]
    assert stored(site) == {*names}


def test_a_release_that_does_not_become_ready_is_taken_back_and_not_tried_again(world: World) -> None:
    site = agent(world)
    site.step()
    site.server.broken = frozenset({world.releases[2]})  # type: ignore[attr-defined]
    world.assign("first", 3)
    outcome = site.step()
    assert (outcome.step, outcome.refusal, outcome.serves) == ("refused", "load", world.releases[1])
    assert f"{world.releases[1]} serves again" in outcome.words
    again = site.step()
    assert (again.step, again.refusal, again.serves) == ("refused", "load", world.releases[1])
    assert "failed here before" in again.words
    world.assign("first", 1)
    assert site.step().serves == world.releases[0]
    site.server.broken = frozenset()  # type: ignore[attr-defined]
    world.assign("first", 3)
    assert site.step().serves == world.releases[2], "what became ready since clears it"


def test_a_site_whose_store_was_lost_brings_its_release_again(world: World) -> None:
    site = agent(world)
    site.step()
    shutil.rmtree(site.settings.store)
    assert site.step().serves == world.releases[1]
    assert stored(site)


def test_a_window_holds_up_the_switch_but_not_the_download(world: World) -> None:
    site = agent(world, windows=("22:00-05:00",))
    noon, night = datetime(2026, 11, 28, 12, tzinfo=UTC), datetime(2026, 11, 29, 0, 30, tzinfo=UTC)
    held = replace(site, now=lambda: noon).step()
    assert (held.step, held.serves) == ("waiting", "")
    assert stored(site)
    assert replace(site, now=lambda: night).step().serves == world.releases[1]


def test_without_the_catalogue_the_site_goes_on(world: World) -> None:
    site = agent(world)
    site.step()
    for path in world.metadata.iterdir():
        path.unlink()
    outcome = site.step()
    assert (outcome.refusal, outcome.serves) == ("link", world.releases[1])


def test_an_expired_catalogue_is_named_and_the_site_goes_on(world: World) -> None:
    site = agent(world)
    site.step()
    world.edit(
        "timestamp", lambda signed: signed.update(expires="2020-01-01T00:00:00Z", version=9), world.online
    )
    outcome = site.step()
    assert (outcome.step, outcome.refusal, outcome.serves) == ("refused", "expired", world.releases[1])


def test_a_release_below_the_floor_is_refused_by_name(world: World) -> None:
    site = agent(world)
    world.assign("first", 2, floor=3)
    outcome = site.step()
    assert (outcome.step, outcome.refusal, outcome.serves) == ("refused", "floor", "")


def test_a_release_of_another_key_is_refused_although_it_is_listed(
    world: World, other_key_pair: object
) -> None:
    site = agent(world, verification_key=other_key_pair.public)  # type: ignore[attr-defined]
    outcome = site.step()
    assert (outcome.step, outcome.refusal, outcome.serves) == ("refused", "signature", "")
    assert not stored(site)
    assert not [path for path in (site.settings.state / "arriving").rglob("*") if path.is_file()]


class Killed(Exception):  # noqa: N818  (what happens to it)
    """The agent ends here, as by `kill -9`."""


def killing(_seconds: float) -> None:
    raise Killed


@pytest.mark.parametrize("works", [True, False], ids=["works", "broken"])
def test_an_agent_that_was_killed_while_it_switched_sees_it_through(world: World, works: bool) -> None:
    site = agent(world)
    site.step()
    world.assign("first", 3)
    site.server.broken = frozenset({world.releases[2]})  # type: ignore[attr-defined]
    with pytest.raises(Killed):
        replace(site, sleep=killing).step()
    assert site.server.told() == world.releases[2]
    if works:
        site.server.broken = frozenset()  # type: ignore[attr-defined]
    assert site.step().serves == world.releases[2 if works else 1]
    assert site.step().serves == world.releases[2 if works else 1]


def test_content_that_was_changed_in_the_catalogue_is_not_taken(world: World) -> None:
    site = agent(world)
    path = world.store / ReleaseId.parse(world.releases[1]).key / "tokenizer.json"
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    outcome = site.step()
    assert (outcome.step, outcome.refusal) == ("refused", "signature")
    shutil.rmtree(site.settings.state)


@pytest.mark.parametrize(
    ("window", "times"),
    [
        ("22:00-05:30", {"21:59": False, "22:00": True, "00:00": True, "05:29": True, "05:30": False}),
        ("12:00-13:00", {"11:59": False, "12:00": True, "12:59": True, "13:00": False}),
    ],
)
def test_windows_may_span_midnight(window: str, times: dict[str, bool]) -> None:
    for text, expected in times.items():
        at = datetime.strptime(f"2026-11-28 {text} +0000", "%Y-%m-%d %H:%M %z")
        assert is_open((window,), at) is expected, text
        assert is_open((), at)
