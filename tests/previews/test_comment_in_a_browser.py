"""A comment as GitHub shows it, narrow and wide: it fits, and loads nothing. The pictures in `docs/` are its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from previews.comment import comment
from tests.browser import look
from tests.previews.cases import another_recipe, egress, settings

if TYPE_CHECKING:
    from tests.previews.conftest import Stacks

# `make test` compares what the same comments say with the engine's own events.
pytestmark = pytest.mark.soak
SIGNS = {
    ":warning:": "\N{WARNING SIGN}",
    ":no_entry:": "\N{NO ENTRY}",
    ":information_source:": "\N{INFORMATION SOURCE}",
}


def as_html(text: str) -> str:
    """The comment in HTML: GitHub's Markdown is CommonMark with tables, and names for signs."""
    for name, sign in SIGNS.items():
        text = text.replace(name, sign)
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def test_it_fits_and_loads_nothing(stacks: Stacks, cache: Path, tmp_path: Path) -> None:
    nodes = {"instance_type": "g6.4xlarge", "maximum": 2}
    verdicts = [
        stacks.verdict("s1-local-serving"),
        stacks.verdict("s2-cloud-training", settings(cloud__nodes=nodes)),
        stacks.verdict("s3-local", another_recipe),
        stacks.verdict("s4-cloud-serving", egress("10.0.0.0/8")),
    ]
    body = tmp_path / "body.html"
    body.write_text(as_html(comment(verdicts)), encoding="utf-8")
    seen = look(cache, Path(__file__).with_name("browser"), tmp_path, body, tmp_path)
    assert set(seen["requests"]) == {(tmp_path / "comment.html").as_uri()}
    assert seen["wider"] == {"narrow": 0, "wide": 0}, "a table that is too wide scrolls by itself"
