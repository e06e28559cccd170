"""The registry of scenarios, read by everything else. Pure: standard library, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from stacks.placement import Place, Placement

if TYPE_CHECKING:
    from collections.abc import Mapping


class ScenarioError(Exception):
    """A stack's scenario is missing or invalid; one line with the remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One scenario.

    Attributes:
        name: its name in the setting `scenario`.
        meaning: a short description.
        placement: where its four concerns are.
        module: the module with its settings class `Settings` and its builder `build`; imported only for
            its own stacks, because cloud SDKs take seconds to import.
        requirements: the package set below `requirements/` that its program needs.
        announcement: what `make up` says about its update.

    """

    name: str
    meaning: str
    placement: Placement
    module: str
    requirements: Literal["control", "cloud"] = "control"
    announcement: str = ""

    @property
    def keeps_data(self) -> bool:
        """Whether its data stays on the premises."""
        return self.placement.data is Place.PREMISES

    @property
    def in_cloud(self) -> bool:
        """Whether its program needs the SDKs and plugins of clouds."""
        return self.requirements == "cloud"


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        each.name: each
        for each in (
            Scenario(
                name="s1-local-serving",
                meaning="everything on the customer's premises: privacy, low latency",
                placement=Placement(
                    training=Place.UNSPECIFIED,
                    serving=Place.PREMISES,
                    inference=Place.PREMISES,
                    data=Place.PREMISES,
                ),
                module="stacks.s1_local_serving",
                announcement="pulumi up: install the runtime, verify the release, serve it (minutes at first)",
            ),
            Scenario(
                name="s2-cloud-training",
                meaning="train in the public cloud from a foundation model",
                placement=Placement(
                    training=Place.CLOUD,
                    serving=Place.UNSPECIFIED,
                    inference=Place.UNSPECIFIED,
                    data=Place.CLOUD,
                ),
                module="stacks.s2_cloud_training",
                requirements="cloud",
                announcement="pulumi up: missing cloud resources, then the training job, followed until it ends",
            ),
            Scenario(
                name="s3-local",
                meaning="train and serve on the premises",
                placement=Placement(
                    training=Place.PREMISES,
                    serving=Place.PREMISES,
                    inference=Place.PREMISES,
                    data=Place.PREMISES,
                ),
                module="stacks.s3_local",
                announcement="pulumi up: runtime, training, gate, release, serving (10 minutes, then seconds)",
            ),
            Scenario(
                name="s4-cloud-serving",
                meaning="the cloud serves the model, inference happens on the premises",
                placement=Placement(
                    training=Place.UNSPECIFIED,
                    serving=Place.CLOUD,
                    inference=Place.PREMISES,
                    data=Place.EXCHANGED,
                ),
                module="stacks.s4_cloud_serving",
                requirements="cloud",
                announcement="pulumi up: catalogue and endpoint in the cluster, sites that join and serve (minutes)",
            ),
        )
    }
)
"""The four scenarios by name."""


def scenario_of(stack: str, named: str | None = None) -> Scenario:
    """Return the scenario of a stack.

    Args:
        stack: the stack's name, chosen by the user.
        named: its setting `scenario`; not needed if the stack is named after a scenario.

    Raises:
        ScenarioError: neither names a scenario, or they name different ones.

    """
    where = f"stacks/Pulumi.{stack}.yaml"
    known = ", ".join(SCENARIOS)
    if named and named not in SCENARIOS:
        raise ScenarioError(f"{where}: scenario: {named!r} is not a scenario; use one of {known}")
    if named and stack in SCENARIOS and named != stack:
        raise ScenarioError(
            f"{where}: scenario is {named}, but the stack is named after {stack}; rename the stack, or remove "
            "the setting"
        )
    if not named and stack not in SCENARIOS:
        raise ScenarioError(
            f"{where}: scenario is not set, and {stack!r} is not the name of a scenario; set it to one of {known}: "
            f"pulumi config set scenario s3-local --stack {stack}"
        )
    return SCENARIOS[named or stack]
