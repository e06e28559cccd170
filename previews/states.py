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


def moved(value: Any, before: str, after: str) -> Any:
    """The value, with paths below the folder `before` as paths below `after`."""
    if isinstance(value, str):
        return after + value[len(before) :] if value == before or value.startswith(f"{before}/") else value
    if isinstance(value, dict):
        return {key: moved(each, before, after) for key, each in value.items()}
    return [moved(each, before, after) for each in value] if isinstance(value, list) else value


def at_home(deployment: Mapping[str, Any], root: Path, below: object) -> Mapping[str, Any]:
    """A state as this checkout, `root`, would have left it: where another one has deployed, its paths are others.

    `below`: the stack's folder in its checkout, by its setting `premises:root`; if that is absolute, nothing moves.
    """
    if not isinstance(below, str) or below.startswith(("/", "~")):
        return deployment
    for resource in deployment.get("resources") or []:
        folder = ((resource.get("inputs") or {}).get("variables") or {}).get("scenario_root")
        if isinstance(folder, str) and folder.endswith(f"/{below}"):
            there = folder.removesuffix(f"/{below}")
            return deployment if there == str(root) else dict(moved(dict(deployment), there, str(root)))
    return deployment


def _read(folder: Path, deployment: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = dict(deployment(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            remedy = "write it with `pulumi stack export --file`"
            raise PreviewError(f"{path} is no stack's state", remedy=remedy) from None
    return found
