"""A program that fails shows one error, whenever it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pulumi_project import new_project

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, os, pulumi
from stacks.ending import end_program

shape = json.loads(os.environ["SHAPE"])
given = pulumi.Output.from_input("what, where, remedy")
if shape["when"] == "at once":
    end_program("what, where, remedy")
pulumi.export("late", given.apply(end_program))
pulumi.export("other", given.apply(lambda text: text + "!"))
"""


@pytest.mark.slow
def test_a_program_that_fails_shows_one_error_at_once_and_late(tmp_path: Path, pulumi_engine: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    (source / "__main__.py").write_text(PROGRAM)
    project = new_project(source, tmp_path, pulumi_engine)
    for when in ("at once", "late"):
        said = project.pulumi("preview", check=False, when=when).partition("Diagnostics:")[2]
        assert [line.strip() for line in said.splitlines() if "rror" in line or "arning" in line] == [
            "error: what, where, remedy",
            "1 errored",
        ], said
