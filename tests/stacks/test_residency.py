"""What follows from where a scenario keeps its data."""

from __future__ import annotations

import pytest

from stacks.residency import ResidencyError, refuse_namespaces, refuse_resource
from stacks.scenarios import SCENARIOS

ON_PREMISES = [name for name, scenario in SCENARIOS.items() if scenario.keeps_data]


@pytest.mark.parametrize("name", ON_PREMISES)
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
def test_a_scenario_with_its_data_on_the_premises_refuses_everything_else(name: str, resource: str) -> None:
    with pytest.raises(ResidencyError) as refusal:
        refuse_resource(SCENARIOS[name], resource, "backup")
    assert "\n" not in str(refusal.value)
    assert f"so {resource} 'backup' is not allowed" in str(refusal.value)


@pytest.mark.parametrize("name", ON_PREMISES)
@pytest.mark.parametrize(
    "resource",
    [
        "pulumi:pulumi:Stack",
        "pulumi:providers:pulumi-python",
        "pulumi-python:dynamic/premises:Playbook",
        "pulumi-python:dynamic/credentials:ApiKey",
    ],
)
def test_what_the_premises_consist_of_is_allowed(name: str, resource: str) -> None:
    refuse_resource(SCENARIOS[name], resource, "x")


def test_a_scenario_with_a_cloud_may_have_cloud_resources() -> None:
    refuse_resource(SCENARIOS["s2-cloud-training"], "aws:s3/bucket:Bucket", "releases")
    refuse_namespaces("elsewhere", SCENARIOS["s4-cloud-serving"], {"aws", "kubernetes"})


def test_settings_of_a_cloud_are_refused_on_the_premises() -> None:
    scenario = SCENARIOS["s3-local"]
    refuse_namespaces("plant-7", scenario, {"premises", "model-deployment-scenarios", "pulumi"})
    with pytest.raises(
        ResidencyError, match=r"Pulumi\.plant-7\.yaml.*settings aws:…, kubernetes:… are not allowed; remove"
    ):
        refuse_namespaces("plant-7", scenario, {"premises", "kubernetes", "aws"})


def test_another_stack_is_asked_for_a_release_only_where_training_is_somewhere_else() -> None:
    reference = "pulumi:pulumi:StackReference"
    refuse_resource(SCENARIOS["s1-local-serving"], reference, "release")
    with pytest.raises(ResidencyError, match="so pulumi:pulumi:StackReference 'release' is not allowed"):
        refuse_resource(SCENARIOS["s3-local"], reference, "release")
