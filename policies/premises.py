"""The rule of stacks whose data stay on the premises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.rule import Rule
from stacks.residency import ResidencyError, refuse_resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rule import Resource


def _stays(resource: Resource) -> Iterator[str]:
    if resource.scenario:
        try:
            refuse_resource(resource.scenario, resource.type, resource.name)
        except ResidencyError as error:
            yield str(error)


DATA_STAYS = Rule(
    name="data-stays-on-the-premises",
    meaning="A stack that keeps its data on the premises has no resource anywhere else.",
    types=(),
    judge=_stays,
)
RULES = (DATA_STAYS,)
