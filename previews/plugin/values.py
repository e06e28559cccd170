"""Property values, from the engine's form to Python's and back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime.rpc import UNKNOWN, is_rpc_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEFAULTS = "__defaults"
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    """Return the properties as they are on the wire."""
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return properties for the wire."""
    message = struct_pb2.Struct()
    message.update(dict(properties))
    return message


def written(value: Any) -> Any:
    """Return what the program wrote of an input: without what a provider has added, and without marks of secrets."""
    if is_rpc_secret(value):
        return written(value.get("value"))
    if isinstance(value, dict):
        added = {*value.get(_DEFAULTS, []), _DEFAULTS}
        return {key: written(each) for key, each in value.items() if key not in added and each is not None}
    if isinstance(value, list):
        return [written(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each property that differs, and whether it is an ADD, a DELETE or an UPDATE.

    What was a secret cannot be compared, so it never differs. Policies differ by what they say, not by how they are
    written.
    """
    if old in (UNKNOWN, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            where = _below(path, key)
            if key not in new:
                if old[key] != UNKNOWN:
                    yield where, "DELETE"
            elif key not in old:
                yield where, "ADD"
            else:
                yield from differences(old[key], new[key], where)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif not (isinstance(old, str) and isinstance(new, str) and _same_json(old, new)):
        yield path, "UPDATE"


def _below(path: str, key: str) -> str:
    """The path of a member, as Pulumi writes paths: `tags["a.b"]`."""
    if not _WORD.fullmatch(key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _same_json(one: str, other: str) -> bool:
    try:
        return one.lstrip()[:1] in ("{", "[") and bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False
