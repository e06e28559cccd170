"""How roles are laid out: few task files, numbered in their order, and each of them used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAYBOOKS = Path(__file__).parents[2] / "ansible"
ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir())
_NUMBERED = re.compile(r"\d\d_[a-z_]+")


def tasks_in(node: Any) -> Iterator[dict[str, Any]]:
    """All tasks of a file, those in blocks too."""
    if isinstance(node, list):
        for each in node:
            yield from tasks_in(each)
    elif isinstance(node, dict):
        yield node
        for part in ("block", "rescue", "always"):
            yield from tasks_in(node.get(part))


def included(file: Path) -> list[str]:
    """The task files of the same role that a file includes or imports, in their order."""
    found = []
    for task in tasks_in(yaml.safe_load(file.read_text())):
        for action in ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks"):
            found += re.findall(r"[0-9a-z_]+(?=\.yml)", str(task.get(action, "")))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_at_most_six_task_files_beside_its_ways_in(role: str) -> None:
    files = [path.stem for path in (PLAYBOOKS / "roles" / role / "tasks").glob("*.yml")]
    assert sum(bool(_NUMBERED.fullmatch(name)) for name in files) <= 6


@pytest.mark.parametrize("role", ROLES)
def test_the_numbers_of_task_files_are_the_order_of_their_use(role: str) -> None:
    for file in (PLAYBOOKS / "roles" / role / "tasks").glob("*.yml"):
        numbers = [name for name in included(file) if _NUMBERED.fullmatch(name)]
        assert numbers == sorted(numbers), file


def test_every_numbered_task_file_is_used_by_its_role() -> None:
    for role in ROLES:
        folder = PLAYBOOKS / "roles" / role / "tasks"
        used = {name for file in folder.glob("*.yml") for name in included(file)}
        numbered = {path.stem for path in folder.glob("*.yml") if _NUMBERED.fullmatch(path.stem)}
        assert numbered <= used, role


@pytest.mark.slow
def test_a_part_of_the_site_has_a_tag_of_its_own() -> None:
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory/localhost.yml", "site.yml"]
    done = subprocess.run(
        [*command, "--list-tasks"], cwd=PLAYBOOKS, capture_output=True, text=True, check=True, timeout=120
    )
    tags = dict(re.findall(r"^ +(?:\w+ : )?(.+?)\tTAGS: \[(.*)\]$", done.stdout, re.MULTILINE))
    wanted = {
        "Validate the settings": "preflight",
        "Prepare the host": "hosts",
        "Name the runtime by its content": "runtime",
        "Write train.json": "train",
        "Write serve.json": "serve",
    }
    assert {task: tags.get(task) for task in wanted} == wanted
