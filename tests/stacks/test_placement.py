"""The four scenarios and what follows from where they keep their data."""

from __future__ import annotations

import pytest

from stacks.placement import (
    SCENARIOS,
    Place,
    PlacementError,
    placement_of,
    refuse_namespaces,
    refuse_resource,
)

ON_PREMISES = [name for name, placement in SCENARIOS.items() if placement.data is Place.PREMISES]


def test_there_are_the_four_scenarios_word_for_word() -> None:
    table = {name: tuple(placement.as_output().values()) for name, placement in SCENARIOS.items()}
    assert table == {
        "s1-local-serving": ("unspecified", "premises", "premises", "premises"),
        "s2-cloud-training": ("cloud", "unspecified", "unspecified", "cloud"),
        "s3-local": ("premises", "premises", "premises", "premises"),
        "s4-cloud-serving": ("unspecified", "cloud", "premises", "exchanged"),
    }


def test_another_stack_name_is_answered_with_the_four() -> None:
    with pytest.raises(PlacementError, match=r"no scenario is named 's3-lokal'.*s1-local-serving.*s4-cloud"):
        placement_of("s3-lokal")


@pytest.mark.parametrize("stack", ON_PREMISES)
@pytest.mark.parametrize(
    "resource",
    [
        "aws:s3/bucket:Bucket",
        "kubernetes:core/v1:Pod",
        "pulumi:providers:aws",
        "pulumi-python:dynamic:Resource",
        "somebody:else:Thing",
    ],
)
def test_a_scenario_with_its_data_on_the_premises_refuses_everything_else(stack: str, resource: str) -> None:
    with pytest.raises(PlacementError) as refusal:
        refuse_resource(stack, resource, "backup")
    assert "\n" not in str(refusal.value)
    assert f"cannot have {resource} 'backup'" in str(refusal.value)


@pytest.mark.parametrize("stack", ON_PREMISES)
@pytest.mark.parametrize(
    "resource",
    [
        "pulumi:pulumi:Stack",
        "pulumi:providers:pulumi-python",
        "pulumi-python:dynamic/premises:Playbook",
        "pulumi-python:dynamic/credentials:ApiKey",
    ],
)
def test_what_the_premises_consist_of_is_allowed(stack: str, resource: str) -> None:
    refuse_resource(stack, resource, "x")


def test_a_scenario_with_a_cloud_may_have_cloud_resources() -> None:
    refuse_resource("s2-cloud-training", "aws:s3/bucket:Bucket", "releases")
    refuse_namespaces("s4-cloud-serving", {"aws", "kubernetes"})


def test_settings_of_a_cloud_are_refused_on_the_premises() -> None:
    refuse_namespaces("s3-local", {"premises", "model-deployment-scenarios", "pulumi"})
    with pytest.raises(PlacementError, match=r"cannot name aws:…, kubernetes:…; remove them"):
        refuse_namespaces("s3-local", {"premises", "kubernetes", "aws"})


def test_another_stack_is_asked_for_a_release_only_where_training_is_somewhere_else() -> None:
    reference = "pulumi:pulumi:StackReference"
    refuse_resource("s1-local-serving", reference, "release")
    with pytest.raises(PlacementError, match="cannot have pulumi:pulumi:StackReference 'release'"):
        refuse_resource("s3-local", reference, "release")
