"""What our messages and pages tell people to run is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from scenario_model import cli

ROOT = Path(__file__).resolve().parents[2]
_NAMED = re.compile(r"`scenario-model ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?")


def named() -> set[tuple[str, str]]:
    """Each command that a source or a page names, with its subcommand, if there is one."""
    sources = [*(ROOT / "model").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    sources += [path for folder in ("stacks", "components") for path in (ROOT / folder).rglob("*.py")]
    return {(found[1], found[2] or "") for path in sources for found in _NAMED.finditer(path.read_text())}


@pytest.mark.parametrize("name", sorted(named()))
def test_a_command_that_is_named_is_one(name: tuple[str, str]) -> None:
    command = cli._cli.get_command(click.Context(cli._cli), name[0])
    assert command, name[0]
    if isinstance(command, click.Group) and name[1]:
        assert name[1] in command.commands
