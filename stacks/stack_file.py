"""Reads a stack's scenario from its file, for programs that run before Pulumi does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from stacks.scenarios import Scenario, ScenarioError, scenario_of
from stacks.settings.read import PROJECT

_FOLDER = Path(__file__).resolve().parent


def scenario_of_file(stack: str, folder: Path = _FOLDER) -> Scenario:
    """Return the scenario of a stack.

    Raises:
        ScenarioError: its file cannot be read, or names no scenario.

    """
    config = _configuration(stack, folder)
    # Pulumi allows the project's own keys without a namespace.
    named = config.get(f"{PROJECT}:scenario", config.get("scenario"))
    return scenario_of(stack, None if named is None else str(named))


def configuration_of_file(stack: str, folder: Path = _FOLDER) -> dict[str, str]:
    """Return a stack's configuration as Pulumi passes it to a program: structured values as JSON.

    Raises:
        ScenarioError: its file cannot be read.

    """
    return {
        key if ":" in key else f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in _configuration(stack, folder).items()
    }


def content_of(file: Path) -> dict[str, Any]:
    """Return the content of a stack's file.

    Raises:
        ScenarioError: it cannot be read, is no YAML, or has no keys.

    """
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"stacks/{file.name}: unreadable: {' '.join(str(error).split())}") from None
    if not isinstance(content or {}, dict):
        raise ScenarioError(
            f"stacks/{file.name}: unreadable: it has no keys; its settings are below `config:`"
        )
    return content or {}


def _configuration(stack: str, folder: Path) -> dict[str, Any]:
    found = content_of(folder / f"Pulumi.{stack}.yaml").get("config") or {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    try:
        print(scenario_of_file(sys.argv[1]).name)
    except ScenarioError as problem:
        sys.exit(str(problem))
