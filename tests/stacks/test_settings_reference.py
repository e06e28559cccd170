"""What is made from the declarations of settings is current, and says what the declarations say."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from scenario_model.config import Section
from scenario_model.describe import help_text
from stacks import settings_reference


def test_what_is_made_from_the_declarations_is_current() -> None:
    stale = [str(path) for path, text in settings_reference.contents().items() if path.read_text() != text]
    assert stale == [], "run make reference"


class Trial(Section):
    """A trial."""

    depth: Annotated[int, Field(ge=1, le=9)] | None = None
    """How deep; null: as deep as it goes."""


def test_a_declaration_is_its_help() -> None:
    assert help_text(Trial) == (
        "  depth: integer 1 to 9 or null, default null\n      How deep; null: as deep as it goes."
    )


def test_every_setting_has_a_line_of_help() -> None:
    silent = [
        line
        for path, text in settings_reference.contents().items()
        if path.suffix == ".md"
        for line in text.splitlines()
        if line.startswith("| `") and line.endswith("|  |")
    ]
    assert silent == []


def test_every_type_is_said_in_words() -> None:
    assert not [
        text for text in settings_reference.contents().values() if re.search(r" at 0x|typing\.|<class", text)
    ]
