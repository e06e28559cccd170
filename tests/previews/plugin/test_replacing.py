"""What replaces a resource: the lab's adapters, which speak to a cloud, and this table have to agree."""

from __future__ import annotations

import pytest

from lab.aws.stand_in.registry import registry
from previews.plugin.replacing import is_known, replaces
from previews.plugin.values import differences, written

ADAPTERS = registry()


@pytest.mark.parametrize("token", sorted(ADAPTERS))
def test_a_type_of_aws_is_known_and_agrees_with_the_lab(token: str) -> None:
    assert is_known(token)
    adapter = ADAPTERS[token]
    changed = {path for path in adapter.updates if replaces(token, path)}
    assert changed == set(), "the lab changes these in place"


@pytest.mark.parametrize(
    ("token", "path", "expected"),
    [
        ("aws:eks/nodeGroup:NodeGroup", "instanceTypes[0]", True),
        ("aws:eks/nodeGroup:NodeGroup", "scalingConfig.maxSize", False),
        ("aws:eks/nodeGroup:NodeGroup", "launchTemplate.id", True),
        ("aws:eks/nodeGroup:NodeGroup", "launchTemplate.version", False),
        ("kubernetes:apps/v1:Deployment", "spec.replicas", False),
        ("kubernetes:apps/v1:Deployment", "spec.selector.matchLabels.app", True),
        ("kubernetes:apps/v1:Deployment", "metadata.name", True),
        ("kubernetes:apps/v1:Deployment", "metadata.labels.name", False),
        ("kubernetes:helm.sh/v3:Release", "version", False),
        ("kubernetes:helm.sh/v3:Release", "name", True),
        ("kubernetes:core/v1:Secret", "stringData.key", False),
    ],
)
def test_some_properties_replace_and_others_do_not(token: str, path: str, expected: bool) -> None:
    assert replaces(token, path) is expected


def test_an_immutable_object_is_replaced_by_other_data() -> None:
    assert replaces("kubernetes:core/v1:ConfigMap", "data.file", immutable=True)
    assert not replaces("kubernetes:core/v1:ConfigMap", "data.file")


def test_what_a_provider_adds_is_no_difference_and_neither_is_how_a_policy_is_written() -> None:
    old = {
        "name": "made-up-1",
        "__defaults": ["name"],
        "policy": '{"a": 1, "b": 2}',
        "tags": {"x": "1", "__defaults": []},
    }
    assert list(differences(written(old), written({"policy": '{"b":2,"a":1}', "tags": {"x": "1"}}))) == []


def test_added_removed_and_changed_are_told_apart() -> None:
    old, new = {"a": 1, "b": {"c": [1, 2]}, "d": 3}, {"a": 2, "b": {"c": [1, 3]}, "e": 4}
    assert dict(differences(old, new)) == {"a": "UPDATE", "b.c[1]": "UPDATE", "d": "DELETE", "e": "ADD"}


def test_a_key_with_a_point_is_one_key() -> None:
    assert dict(differences({"data": {"a.json": "1"}}, {"data": {"a.json": "2"}})) == {
        'data["a.json"]': "UPDATE"
    }
    assert replaces("kubernetes:core/v1:ConfigMap", 'data["a.json"]', immutable=True)
