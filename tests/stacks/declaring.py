"""A stack's own file as Pulumi hands it to the program, and the program run to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import yaml

from policies.judge import violations
from policies.rule import Resource
from stacks import program
from stacks.scenarios import SCENARIOS
from stacks.settings.read import PROJECT

ROOT = Path(__file__).parents[2]


def config_of(stack: str, **changes: Any) -> dict[str, str]:
    """The stack's configuration, with changes by `namespace__key`; None removes a key."""
    file = ROOT / "stacks" / f"Pulumi.{stack}.yaml"
    values = yaml.safe_load(file.read_text())["config"]
    for name, value in changes.items():
        namespace, _, key = name.partition("__")
        values[f"{PROJECT if namespace == 'own' else namespace}:{key}"] = value
    return {
        key: each if isinstance(each, str) else json.dumps(each)
        for key, each in values.items()
        if each is not None
    }


_against_rules: list[str] = []


def judge(stack: str, args: pulumi.runtime.MockResourceArgs) -> None:
    """Hold what mocks are asked to make against the rules, which `make preview` and `make up` load."""
    resource = Resource(args.typ, args.name, args.inputs, SCENARIOS[stack])
    _against_rules.extend(f"{args.name}: {each.message}" for each in violations(resource) if each.stops)


def declare(stack: str, settings: dict[str, str]) -> dict[str, Any]:
    """Run the program before the mocks that are set; its outputs, resolved. Whatever is set, it keeps the rules."""
    outputs: dict[str, Any] = {}
    _against_rules.clear()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def declares() -> pulumi.Output[None]:
        return pulumi.Output.all(**program.build(stack, settings, [])).apply(outputs.update)

    declares()
    assert _against_rules == [], _against_rules
    return outputs
