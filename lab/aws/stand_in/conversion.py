"""Converts between the SDK's properties and the AWS API's members, which mostly differ in case.

botocore's models define requests, so an adapter only lists different names.
"""

from __future__ import annotations

import collections.abc
import datetime as dt
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from pulumi._types import is_input_type

from lab.aws.stand_in import sdk
from lab.aws.stand_in.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

Names = dict[str, str | None]
"""By a property's path without indices: the member's name, or None if it is not part of the request."""


@dataclass
class Request:
    """A request under construction; `faults` collects violations of the API's model."""

    names: Names
    faults: list[sdk.Fault] = field(default_factory=list)

    def structure(
        self, shape: StructureShape, properties: Mapping[str, Any], path: str = ""
    ) -> dict[str, Any]:
        """Return the members for properties; a property without a member is a fault."""
        made = {}
        for name, value in properties.items():
            where = f"{path}.{name}" if path else name
            called = self.names.get(where, name)
            if called is None or value is None:
                continue
            member = _find(shape.members, called)
            if member is None:
                self.faults.append((where, "the stand-in does not support this property"))
            else:
                made[member] = self._value(shape.members[member], value, where)
        return made

    def _value(self, shape: Shape, value: Any, path: str) -> Any:
        if value == UNKNOWN:
            return value
        if isinstance(shape, StructureShape):
            one = value[0] if isinstance(value, list) and len(value) == 1 else value
            return self.structure(shape, one, path) if isinstance(one, dict) else one
        if isinstance(shape, ListShape):
            if isinstance(value, dict) and set(getattr(shape.member, "members", ())) == {"Key", "Value"}:
                return tag_list(value)  # a mapping in Pulumi
            items = value if isinstance(value, list) else [value]
            return [self._value(shape.member, each, path) for each in items]
        if isinstance(shape, MapShape):
            return {key: self._value(shape.value, each, path) for key, each in value.items()}
        return self._scalar(shape, value, path)

    def _scalar(self, shape: Shape, value: Any, path: str) -> Any:
        if shape.type_name in {"integer", "long"}:
            return self._number(shape, int(value), path)
        if shape.type_name in {"float", "double"}:
            return float(value)
        if shape.type_name == "boolean":
            return value in {True, "true"}
        if shape.type_name == "string":
            text = str(value).lower() if isinstance(value, bool) else str(value)
            allowed = getattr(shape, "enum", [])
            if allowed and text not in allowed:
                known = ", ".join(allowed[:12]) + (", ..." if len(allowed) > 12 else "")
                self.faults.append((path, f"{text!r} is not one of {known}"))
            return text
        return value

    def _number(self, shape: Shape, value: int, path: str) -> int:
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if (least is not None and value < least) or (most is not None and value > most):
            self.faults.append((path, f"{value} is not between {least} and {most}"))
        return value


def properties(kind: type, answer: Mapping[str, Any], names: Names, path: str = "") -> dict[str, Any]:
    """Return the SDK's properties in an API response."""
    made = {}
    for name, inner in sdk.members(kind).items():
        where = f"{path}.{name}" if path else name
        called = names.get(where, name)
        member = _find(answer, called) if called else None
        if member is not None and answer[member] is not None:
            value = _property(inner, answer[member], names, where)
            if value is not None:
                made[name] = value
    return made


def _property(kind: Any, value: Any, names: Names, path: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is collections.abc.Sequence:
        items = value if isinstance(value, list) else [value]
        return [_property(sdk.bare(inner[0]), each, names, path) for each in items]
    if origin is collections.abc.Mapping:
        return tag_map(value) if isinstance(value, list) else dict(value)
    if isinstance(kind, type) and is_input_type(kind):
        if isinstance(value, list):
            value = value[0] if value else None
        return properties(kind, value, names, path) if isinstance(value, dict) else None
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if kind is str:
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def combined(kind: type, live: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input properties of an SDK class, and computed ones, in objects too."""
    made = {**live, **written}
    for name, inner in sdk.members(kind).items():
        one, other = live.get(name), written.get(name)
        if (
            isinstance(inner, type)
            and is_input_type(inner)
            and isinstance(one, dict)
            and isinstance(other, dict)
        ):
            made[name] = combined(inner, one, other)
    return made


def _find(members: Mapping[str, Any], name: str) -> str | None:
    """Return a property's member: in another case, or one of several."""
    folded = {member.lower(): member for member in members}
    wanted = name.lower()
    return next(
        (folded[each] for each in (wanted, f"{wanted}s", wanted.removesuffix("s")) if each in folded), None
    )


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return tags in Pulumi's form, from a list of keys and values in any of AWS's spellings."""
    return {
        tag.get("Key") or tag.get("key") or tag["TagKey"]: tag.get(
            "Value", tag.get("value", tag.get("TagValue", ""))
        )
        for tag in tags
        if not (tag.get("Key") or "").startswith("aws:")
    }


def tag_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags in AWS's form."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]
