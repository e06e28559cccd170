"""Each resource type through its life: nothing differs after it is made, one change shows, nothing stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.aws import plugin
from lab.aws.stand_in.registry import registry
from lab.aws.stand_in.values import plain
from recovery.aws.import_pending import OURS_BY_NAME
from tests.lab.aws.driver import Driver, Resource
from tests.lab.aws.lives import LIVES, ONE_OF_EACH_SHAPE
from tests.lab.aws.world import World

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws

pytestmark = pytest.mark.slow


@pytest.fixture
def driver(aws_server: Aws) -> Driver:
    """The API is not emptied for each: each test here looks that it left nothing."""
    where = plugin.provider_arguments(aws_server.endpoint)
    return Driver(where | {"defaultTags": {"tags": {"project": "lab"}}})


def test_every_type_that_is_covered_is_lived_through_here() -> None:
    assert sorted(registry()) == sorted(f"aws:{token}" for token in LIVES)


@pytest.mark.parametrize(
    "token",
    [pytest.param(each, marks=() if each in ONE_OF_EACH_SHAPE else pytest.mark.soak) for each in LIVES],
)
def test_a_resource_lives_without_a_difference_but_the_one_that_was_written(
    driver: Driver, token: str
) -> None:
    world, life = World(driver), LIVES[token]
    inputs = life.inputs(world)
    resource = driver.create(f"aws:{token}", inputs)
    assert driver.diff(resource, inputs).changes == 1, "DIFF_NONE"
    made = resource.state
    assert driver.refresh(resource)
    assert resource.state == made
    found = driver.diff(resource, inputs)
    assert not list(found.diffs), f"after a refresh {found.detailedDiff} differ"
    if life.change is not None:
        changed = inputs | life.change
        found = driver.diff(resource, changed)
        assert set(found.diffs) == set(life.change)
        assert not found.replaces
        driver.update(resource, changed)
        assert driver.refresh(resource)
        assert not list(driver.diff(resource, changed).diffs)
    last = resource.outputs
    driver.delete(resource)
    if token not in {"ec2/defaultSecurityGroup:DefaultSecurityGroup", "s3/bucketVersioning:BucketVersioning"}:
        assert not driver.refresh(resource), "it is gone"
    driver.delete(Resource(resource.type, resource.name, resource.inputs, last, resource.id))
    for needed in reversed(world.made):
        driver.delete(needed)
    for other in world.made:
        assert not driver.refresh(other), f"{other.type} is still there"


@pytest.mark.parametrize("token", OURS_BY_NAME)
def test_what_a_killed_update_made_is_found_by_what_its_inputs_say_as_by_an_import(
    driver: Driver, token: str
) -> None:
    world = World(driver)
    resource = driver.create(token, LIVES[token.removeprefix("aws:")].inputs(world))
    identity = OURS_BY_NAME[token].format_map(plain(resource.inputs))
    found = Resource(token, resource.name, resource.inputs, None, identity)
    assert driver.refresh(found)
    assert found.state == resource.state
    for needed in reversed([*world.made, resource]):
        driver.delete(needed)
