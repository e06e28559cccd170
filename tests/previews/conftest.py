"""The four stacks as shipped, deployed as far as a preview knows, and previews of what changes of their files do."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bootstrap.pulumi.__main__ import find_engine
from previews.comment import Verdict, comment
from previews.costs.estimate import before_and_after
from previews.dangers import dangers_of
from previews.events import Changes, changes_of
from previews.sandbox import Previewed, Sandbox
from stacks.scenarios import SCENARIOS
from tests.previews.deployed import deployed
from tests.previews.faithful import unfaithful
from tests.previews.github import GitHub, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from previews.github import Repository

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stacks:
    """Previews of the shipped stacks. `folder`: for sandboxes and changed files."""

    folder: Path

    @cache  # noqa: B019 one for the whole run
    def state(self, stack: str) -> dict[str, Any]:
        """The stack as its shipped file deploys it."""
        return deployed(lambda state: self.previewed(stack, state))

    def previewed(
        self,
        stack: str,
        state: Mapping[str, Any],
        change: Callable[[dict[str, Any]], None] | None = None,
        root: Path = ROOT,
    ) -> Previewed:
        content = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())
        if change:
            change(content["config"])
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            file = Path(place, f"Pulumi.{stack}.yaml")
            file.write_text(yaml.safe_dump(content))
            engine = find_engine(os.environ.get("ENGINE_SOURCE", ""))
            states: dict[str, Mapping[str, Any]] = {**{name: {} for name in SCENARIOS}, stack: state}
            return Sandbox(root, Path(place, "room"), engine, states).preview(stack, file)

    def verdict(
        self,
        stack: str,
        change: Callable[[dict[str, Any]], None] | None = None,
        before: Callable[[dict[str, Any]], None] | None = None,
        root: Path = ROOT,
    ) -> Verdict:
        """What a change of the stack's settings does to it. `before`: changes the state. `root`: of another program."""
        state = copy.deepcopy(self.state(stack))
        if before:
            before(state)
        return self._judged(stack, self.previewed(stack, state, change, root))

    def new(self, stack: str, root: Path = ROOT) -> Verdict:
        """What the stack is, as its shipped file makes it. `root`: of another program."""
        return self._judged(stack, self.previewed(stack, {}, root=root))

    def _judged(self, stack: str, previewed: Previewed) -> Verdict:
        """The verdict, of which every test is sure that the comment says what the engine said."""
        verdict = verdict_of(stack, changes_of(previewed))
        if not verdict.changes.error:
            assert list(unfaithful(previewed.events, comment([verdict], limit=1_000_000))) == []
        return verdict


def changed_program(folder: Path, file: str, before: str, after: str) -> Path:
    """The project with one file changed; all others are the project's own."""
    top = file.split("/", maxsplit=1)[0]
    folder.mkdir(parents=True, exist_ok=True)
    for each in ROOT.iterdir():
        if each.name != top:
            (folder / each.name).symlink_to(each)
    shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")
    return folder


def verdict_of(stack: str, changes: Changes) -> Verdict:
    costs = before_and_after(changes.steps, "eu-central-1")
    scenario = SCENARIOS[stack]
    return Verdict(
        scenario=scenario,
        changes=changes,
        dangers=dangers_of(changes),
        before=costs[0] if scenario.in_cloud else None,
        after=costs[1] if scenario.in_cloud else None,
    )


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    return Stacks(tmp_path_factory.mktemp("previews"))


@pytest.fixture
def github() -> GitHub:
    return GitHub()


@pytest.fixture
def repository(github: GitHub) -> Iterator[Repository]:
    with served(github) as repository:
        yield repository
