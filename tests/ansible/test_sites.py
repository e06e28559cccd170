"""A site by Ansible: it joins a real catalogue, serves what is assigned to it, follows it by itself, and goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ansible.conftest import _premises, free_port
from tests.ansible.test_site import ask, wait_ready
from tests.end_to_end.rollout import signed_by_one_key
from tests.model.catalogue.world import World
from tests.model.edge.cloud_process import Cloud
from tests.model.edge.test_site_and_cloud import wait_for
from tests.model.release.conftest import KeyPair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ansible.conftest import Premises
    from tests.built_runtime import BuiltRuntime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cloud(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A catalogue with three releases of a real model, of which ring `first` is led to the first."""
    made = signed_by_one_key(tmp_path_factory.mktemp("releases"), tiny_checkpoint, 3)
    beside = Path(made[0]["path"]).parent
    pair = KeyPair(beside / "signing.pem", beside / "verification.pem")
    world = World.created(tmp_path_factory.mktemp("world"), pair)
    for each in made:
        world.add(Path(each["path"]), each["id"])
    world.assign("first", 1)
    cloud = Cloud(world)
    yield cloud
    cloud.kill()


@pytest.fixture(scope="module")
def site(
    cloud: Cloud,
    variables: dict[str, Any],
    runtime: BuiltRuntime,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Premises]:
    """A host that has joined; its former servers are gone in the end."""
    made = _premises(tmp_path_factory.mktemp("site"), variables)
    runtime.give_to(made.root)
    made.variables["serving"]["metrics"] = {"port": free_port()}
    made.variables |= {
        "scenario_site": True,
        "edge": {"poll_seconds": 1, "ready_seconds": 120},
        "edge_tokens": {"localhost": cloud.invite("plant-7")},
        "edge_verification_key": cloud.world.key_pair.public.read_text(),
    }
    try:
        made.run("runtime.yml")
        made.run("sites.yml")
        yield made
    finally:
        made.run("reset.yml")
    assert not made.root.exists()
    assert not made.processes()


def follow(site: Premises, release: str) -> None:
    """Wait until the site serves a release, which nobody but its agent tells it."""

    def serves() -> bool:
        try:
            return ask(site, "/readyz")[1] == release
        except OSError:
            return False

    wait_for(serves, 120)


def test_a_site_serves_what_is_assigned_and_follows_it_without_a_play(site: Premises, cloud: Cloud) -> None:
    cloud.world.assign("first", 1)
    follow(site, cloud.world.releases[0])
    assert site.run("sites.yml").changes() == 0
    assert site.run("sites.yml", "--check", "--diff").changes() == 0
    cloud.world.assign("first", 2)
    follow(site, cloud.world.releases[1])
    assert ask(site, "/v1/models") == (200, cloud.world.releases[1])
    assert site.run("sites.yml").changes() == 0, "what the agent did is no drift"
    assert ("plant-7", cloud.world.releases[1]) in {
        (each, status.release) for each, _, status in cloud.reported()
    }


# `make test` changes settings of servers in tests/end_to_end/test_premises_hosts.py.
@pytest.mark.soak
def test_another_setting_of_the_server_restarts_it_with_the_release_that_it_follows(
    site: Premises, cloud: Cloud
) -> None:
    cloud.world.assign("first", 3)
    follow(site, cloud.world.releases[2])
    before, serving = site.server().pid, site.variables["serving"]
    ran = site.run("sites.yml", serving={**serving, "limits": {"requests_per_minute": 5000}})
    assert "Run inference" in ran.changed
    assert "Run edge" not in ran.changed
    assert site.server().pid != before
    assert ask(site, "/readyz") == (200, cloud.world.releases[2])
    site.run("sites.yml")


def test_a_token_that_is_not_valid_is_an_error_and_the_site_goes_on(site: Premises, cloud: Cloud) -> None:
    used = site.variables["edge_tokens"]["localhost"]
    another = cloud.invite("plant-8")
    ran = site.run("sites.yml", succeeds=False, edge_tokens={"localhost": "scenario-site-rubbish"})
    said = " ".join(ran.output.split())
    assert "localhost cannot join the catalogue: scenario-model edge: is not a site's token" in said
    assert "invite it anew" in said
    for token in (used, another):
        assert token not in ran.output
    wait_ready(site)


def test_without_a_catalogue_a_site_that_has_joined_is_converged_all_the_same(
    site: Premises, cloud: Cloud
) -> None:
    cloud.kill()
    try:
        assert site.run("sites.yml").changes() == 0
        wait_ready(site)
    finally:
        cloud.start()


def test_a_host_without_a_token_is_named_with_the_remedy(
    premises: Premises, runtime: BuiltRuntime, cloud: Cloud
) -> None:
    runtime.give_to(premises.root)
    premises.variables |= {
        "scenario_site": True,
        "edge_verification_key": cloud.world.key_pair.public.read_text(),
    }
    premises.run("runtime.yml")
    ran = premises.run("sites.yml", succeeds=False)
    said = " ".join(ran.output.split())
    assert (
        "localhost is not enrolled and has no token: run `scenario-model catalogue invite localhost" in said
    )
