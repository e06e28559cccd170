"""From a stack's name and configuration to its resources: scenario, settings, residency, the scenario's builder."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pulumi

from components.errors import StackError
from stacks.residency import ResidencyError, refuse_destinations, refuse_namespaces, refuse_resource
from stacks.scenarios import ScenarioError, scenario_of
from stacks.settings.read import PROJECT, SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def build(stack: str, config: Mapping[str, str], secret_keys: Collection[str]) -> dict[str, Any]:
    """Declare the resources of the stack's scenario, and return the stack's outputs.

    Args:
        stack: its name.
        config: its configuration, `namespace:key` -> text, structured values as JSON.
        secret_keys: the keys set with `--secret`.

    Raises:
        pulumi.RunError: an error in the stack's scenario, settings or placement, without a traceback.

    """
    try:
        scenario = scenario_of(stack, config.get(f"{PROJECT}:scenario"))
        refuse_namespaces(stack, scenario, {key.partition(":")[0] for key in config})
        module = importlib.import_module(scenario.module)
        settings = read_settings(module.Settings, stack, config, secret_keys)
        premises = getattr(settings, "premises", None)  # absent in a cloud stack
        if premises and premises.egress:
            refuse_destinations(stack, scenario, premises.egress.destinations())

        def refuse(args: pulumi.ResourceTransformationArgs) -> None:
            refuse_resource(scenario, args.type_, args.name)

        pulumi.runtime.register_stack_transformation(refuse)
        outputs: dict[str, Any] = {"scenario": scenario.name, "placement": scenario.placement.as_output()}
        outputs |= module.build(stack, settings)
        return outputs
    except (ScenarioError, SettingsError, ResidencyError, StackError) as error:
        raise pulumi.RunError(str(error)) from None
