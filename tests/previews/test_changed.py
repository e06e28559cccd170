"""Which stacks a change of files concerns."""

from __future__ import annotations

import pytest

from previews.changed import concerned

STACKS = ["a", "b"]
TEXTS = {"a": "premises:inventory: ansible/inventory/plant.yml", "b": ""}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["stacks/Pulumi.a.yaml"], ["a"]),
        (["stacks/Pulumi.gone.yaml"], []),
        (["ansible/inventory/plant.yml"], ["a"]),
        (["docs/lab.md", "README.md", "tests/x.py", ".github/workflows/test.yml", ".yamllint"], []),
        (["stacks/residency.py"], STACKS),
        (["model/scenario_model/cli.py"], STACKS),
        (["ansible/roles/inference/tasks/main.yml"], STACKS),
        (["requirements/cloud.lock"], STACKS),
        (["docs/lab.md", "stacks/Pulumi.b.yaml"], ["b"]),
    ],
)
def test_a_stacks_own_files_concern_it_alone_and_a_program_all(files: list[str], expected: list[str]) -> None:
    assert concerned(files, STACKS, TEXTS) == expected
