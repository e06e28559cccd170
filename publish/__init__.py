"""What a version tag releases: the model package, the Ansible collection, release notes.

Called by `.github/workflows/release.yml`; runs the same way by hand. Standard library only.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from bootstrap import ToolError

ROOT = Path(__file__).resolve().parent.parent


class PublishError(ToolError):
    """The version cannot be published."""


def version() -> str:
    """Return the version of the model package, which is also the project's."""
    project = tomllib.loads((ROOT / "model" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def check_tag(tag: str) -> None:
    """Raise PublishError unless the tag is `v` followed by the version."""
    if tag != f"v{version()}":
        raise PublishError(
            f"invalid tag {tag}: model/pyproject.toml has version {version()}; "
            f"push v{version()}, or change the version"
        )


def notes(changelog: str, of: str) -> str:
    """Return the changelog's section of a version, without its heading.

    Raises PublishError if the section is missing or empty.
    """
    parts = re.split(r"^## \[([^\]]+)\].*$", changelog, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    text = sections.get(of, "").strip()
    if not text:
        raise PublishError(
            f"CHANGELOG.md: no section [{of}]; rename [Unreleased] to [{of}], with the date, and commit it"
        )
    return text + "\n"
