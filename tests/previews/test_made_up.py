"""A state that two previews make up is enough to see what a change does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from previews import PreviewError
from previews.events import changes_of
from previews.made_up import made_up
from tests.previews.cases import renamed, settings
from tests.previews.conftest import ROOT, changed_program, verdict_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.previews.conftest import Stacks

pytestmark = pytest.mark.slow
STACK = "s2-cloud-training"


def test_it_shows_what_is_replaced_and_nothing_that_only_has_another_name(
    stacks: Stacks, tmp_path: Path
) -> None:
    state = made_up(lambda known: stacks.previewed(STACK, known), rounds=2)

    def changed(root: Path = ROOT, **change: Any) -> tuple[set[tuple[str, str]], list[str]]:
        verdict = verdict_of(STACK, changes_of(stacks.previewed(STACK, state, settings(**change), root)))
        return {(each.kind, each.name) for each in verdict.changes.changing}, list(verdict.dangers)

    assert changed() == (set(), [])
    assert changed(changed_program(tmp_path, *renamed(alias=True))) == (set(), [])
    found, dangers = changed(cloud__nodes={"instance_type": "g6.4xlarge", "maximum": 2})
    assert ("replace", "training") in found
    assert dangers == ["replaces a group of nodes with all that runs there (`training`)"]


def test_a_program_that_fails_makes_up_nothing(stacks: Stacks) -> None:
    wrong = settings(**{"model-deployment-scenarios__recipe": {"rnak": 3}})
    with pytest.raises(PreviewError, match="rnak"):
        made_up(lambda known: stacks.previewed("s3-local", known, wrong), rounds=2)
