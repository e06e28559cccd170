"""The rules as a policy pack of the real engine: in previews and in updates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policies.rule import UNKNOWN
from previews.comment import comment
from stacks.scenarios import SCENARIOS
from tests.previews.conftest import changed_program
from tests.pulumi_project import ROOT, PulumiProject, new_project

if TYPE_CHECKING:
    from previews.comment import Verdict
    from tests.previews.conftest import Stacks

pytestmark = pytest.mark.slow
PACK = str(ROOT / "policies" / "pack")
TOKENS = 'http_tokens="required"'


@pytest.fixture
def project(tmp_path: Path, pulumi_engine: Path) -> PulumiProject:
    """A stack with a resource that is not on the premises."""
    return new_project(Path(__file__).parent / "project", tmp_path, pulumi_engine)


def test_an_update_stops_before_it_makes_what_breaks_a_rule(project: PulumiProject) -> None:
    project.pulumi("config", "set", "scenario", "s3-local")
    said = project.pulumi("up", "--yes", "--skip-preview", "--policy-pack", PACK, check=False)
    assert "[mandatory]  data-stays-on-the-premises" in said
    assert "s3-local keeps its data on the premises, so pulumi-python:dynamic/backup:Copy" in said
    assert "Traceback" not in said
    assert not (project.path / "made").exists()


def test_a_scenario_that_may_have_it_and_another_project_go_on(project: PulumiProject) -> None:
    said = project.pulumi("up", "--yes", "--skip-preview", "--policy-pack", PACK)
    assert "model-deployment-scenarios" in said
    assert (project.path / "made").exists()
    project.pulumi("config", "set", "scenario", "s2-cloud-training")
    assert "2 unchanged" in project.pulumi("up", "--yes", "--skip-preview", "--policy-pack", PACK)


def with_nodes(stacks: Stacks, folder: Path, tokens: str) -> Verdict:
    """`s2-cloud-training` as new, by a program that wants something else of its machines."""
    root = changed_program(folder, "components/aws/nodes.py", TOKENS, tokens)
    return stacks.new("s2-cloud-training", root)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ('http_tokens="optional"', "set metadataOptions.httpTokens to required"),
        (
            f'http_tokens=pulumi.Output.from_input("{UNKNOWN}")',
            "`metadataOptions.httpTokens` is not known yet; give it a value that a preview knows",
        ),
    ],
    ids=["broken", "not known"],
)
def test_the_comment_says_which_rule_a_program_breaks_and_fails(
    stacks: Stacks, tmp_path: Path, tokens: str, message: str
) -> None:
    verdict = with_nodes(stacks, tmp_path, tokens)
    assert verdict.changes.error == ""
    stopping = {(each.rule, each.name) for each in verdict.changes.violations if each.stops}
    assert stopping == {("machines-ask-for-tokens", "system"), ("machines-ask-for-tokens", "training")}
    assert verdict.fails
    text = comment([verdict])
    assert "**2 rules broken**" in text
    told = [
        each for each in text.splitlines() if each.startswith("- :no_entry: **machines-ask-for-tokens**: ")
    ]
    assert len(told) == 2
    assert all(message in each for each in told)


@pytest.mark.parametrize("stack", SCENARIOS)
def test_the_shipped_stacks_keep_all_rules_already_as_new(stacks: Stacks, stack: str) -> None:
    verdict = stacks.new(stack)
    assert verdict.changes.error == ""
    assert [each for each in verdict.changes.violations if each.stops] == []
    assert not verdict.fails
    assert "broken" not in comment([verdict])
