"""What a rule is, and how it reads properties that may not be known yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stacks.scenarios import Scenario

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's sign for a value that is not known yet, in states, in settings and on the wire."""


class NotKnownError(Exception):
    """A property is not known yet: its path."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack. `properties`: what the program asks for, as the engine has it."""

    type: str
    name: str
    properties: Mapping[str, Any]
    scenario: Scenario | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule for resources of some types.

    Attributes:
        name: as people and policy packs call it.
        meaning: what it asks for, in a sentence.
        types: those it is for; one that ends with a colon is the beginning of some; none: all types.
        judge: yields what is wrong with a resource. Raises NotKnownError at what is not known yet.
        mandatory: whether an update stops at it, and at what is not known of it.
        waits: of a mandatory rule: whether its properties are known in an update alone, so that a preview cannot
            stop at them. An update asks again before it makes the resource, and knows them.

    """

    name: str
    meaning: str
    types: tuple[str, ...]
    judge: Callable[[Resource], Iterator[str]]
    mandatory: bool = True
    waits: bool = False

    def is_for(self, kind: str) -> bool:
        """Whether it is for resources of a type."""
        return not self.types or any(
            kind.startswith(each) if each.endswith(":") else kind == each for each in self.types
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong with a resource, by which rule, and whether an update stops at it."""

    rule: Rule
    resource: Resource
    message: str
    stops: bool


def read(properties: object, path: str) -> Any:
    """Return the property at a path such as `metadataOptions.httpTokens`; None if there is none.

    Raises NotKnownError if it, or what it is in, is not known yet.
    """
    for key in path.split("."):
        if properties == UNKNOWN:
            raise NotKnownError(path)
        properties = properties.get(key) if isinstance(properties, Mapping) else None
    if properties == UNKNOWN:
        raise NotKnownError(path)
    return properties


def read_list(properties: object, path: str) -> list[Any]:
    """Return the list at a path; a single value is a list of one, none an empty one. Raises NotKnownError."""
    found = read(properties, path)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def is_on(value: object) -> bool:
    """Whether a switch is on; some providers write it as text."""
    return value is True or value == "true"
