"""Property values between the engine's wire format and plain Python: unknowns, secrets, whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime.rpc import UNKNOWN, is_rpc_secret, wrap_rpc_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DEFAULTS", "UNKNOWN", "defaults", "has_unknown", "plain", "secret_names", "struct"]

DEFAULTS = "__defaults"
"""Where the inputs say which of them the provider made up, as the real plugin does."""


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    """Return the properties without their secret wrappers; whole numbers as int, as they were written."""
    found = {name: _plain(value) for name, value in json_format.MessageToDict(message).items()}
    found.pop(DEFAULTS, None)
    return found


def defaults(message: struct_pb2.Struct) -> list[str]:
    """Return the names of the properties whose values the provider made up."""
    return list(json_format.MessageToDict(message).get(DEFAULTS, []))


def _plain(value: Any) -> Any:
    if is_rpc_secret(value):
        return _plain(value.get("value"))
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def secret_names(*messages: struct_pb2.Struct) -> set[str]:
    """Return the properties with a secret anywhere in them, and what is derived from those."""
    found = {
        name
        for message in messages
        for name, value in json_format.MessageToDict(message).items()
        if _has_secret(value)
    }
    # The provider computes the one from the other, so the engine cannot know.
    return found | ({"tagsAll"} if found & {"tags", "defaultTags"} else set())


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return is_rpc_secret(value) or any(map(_has_secret, value.values()))
    return isinstance(value, list) and any(map(_has_secret, value))


def has_unknown(value: Any) -> bool:
    """Say whether anything in a value is not known before the update."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else bool(value == UNKNOWN)


def struct(properties: Mapping[str, Any], secrets: Iterable[str] = ()) -> struct_pb2.Struct:
    """Return properties for the engine, those named as secrets wrapped again."""
    hidden = set(secrets)
    message = struct_pb2.Struct()
    message.update(
        {
            name: wrap_rpc_secret(value) if name in hidden else value
            for name, value in properties.items()
            if value is not None
        }
    )
    return message
