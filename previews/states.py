"""The last states of stacks: of this machine's backend, or of a folder of exports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli import PROJECT
from cli.state import BACKEND
from previews import PreviewError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def own_states() -> dict[str, Mapping[str, Any]]:
    """The deployments in the backend of this checkout, by stack. Raises PreviewError for a file that is none."""
    folder = BACKEND / ".pulumi" / "stacks" / PROJECT
    return _read(folder, lambda content: content["checkpoint"].get("latest") or {})


def exported_states(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The deployments in STACK.json, as `pulumi stack export` prints them. Raises PreviewError for another file."""
    return _read(folder, lambda content: content["deployment"])


def _read(folder: Path, deployment: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = dict(deployment(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            remedy = "write it with `pulumi stack export --file`"
            raise PreviewError(f"{path} is no stack's state", remedy=remedy) from None
    return found
