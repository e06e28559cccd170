"""The registry: four scenarios, and which of them a stack is."""

from __future__ import annotations

import pytest

from stacks.placement import Place
from stacks.scenarios import SCENARIOS, ScenarioError, scenario_of


def test_there_are_the_four_scenarios_word_for_word() -> None:
    table = {name: tuple(each.placement.as_output().values()) for name, each in SCENARIOS.items()}
    assert table == {
        "s1-local-serving": ("unspecified", "premises", "premises", "premises"),
        "s2-cloud-training": ("cloud", "unspecified", "unspecified", "cloud"),
        "s3-local": ("premises", "premises", "premises", "premises"),
        "s4-cloud-serving": ("unspecified", "cloud", "premises", "exchanged"),
    }


def test_a_stack_named_after_a_scenario_is_one_and_any_other_names_its_own() -> None:
    assert scenario_of("s3-local").name == "s3-local"
    assert scenario_of("s3-local", "s3-local").name == "s3-local"
    assert scenario_of("plant-7", "s1-local-serving").name == "s1-local-serving"


@pytest.mark.parametrize(
    ("stack", "named", "said"),
    [
        ("s3-lokal", None, r"Pulumi\.s3-lokal\.yaml: scenario is not set, .*s1-local-serving.*s4-cloud"),
        (
            "plant-7",
            "s3-lokal",
            r"Pulumi\.plant-7\.yaml: scenario: 's3-lokal' is not a scenario; use one of s1-",
        ),
        (
            "s3-local",
            "s1-local-serving",
            r"scenario is s1-local-serving, but the stack is named after s3-local",
        ),
    ],
)
def test_a_stack_without_a_scenario_is_told_the_remedy(stack: str, named: str | None, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        scenario_of(stack, named)


def test_what_make_up_announces_is_what_the_scenario_does() -> None:
    for scenario in SCENARIOS.values():
        trains = scenario.placement.training is not Place.UNSPECIFIED
        assert ("training" in scenario.announcement) == trains, scenario.name
