"""Differences between two sets of properties, by the semantics of Terraform's schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def same(one: Any, other: Any) -> bool:
    """Whether two values are equivalent, ignoring order of lists and white space of JSON."""
    if isinstance(one, list) and isinstance(other, list):
        one, other = (
            sorted(each, key=lambda item: json.dumps(item, sort_keys=True)) for each in (one, other)
        )
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, str) and isinstance(other, str) and one != other:
        return _json(one) is not None and _json(one) == _json(other)
    return bool(one == other)


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else None
    except ValueError:
        return None


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each property that differs, and whether it was added, deleted or updated."""
    for name in sorted({*old, *new}):
        where = f"{path}.{name}" if path else name
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            if one is not other:
                yield where, "add" if one is None else "delete"
        elif isinstance(one, dict) and isinstance(other, dict):
            yield from differences(one, other, where)
        elif not same(one, other):
            yield where, "update"


def as_written(written: Any, live: Any) -> Any:
    """Merge a live value into the written one: only written values can drift.

    A member that the API does not return stays. If both are equivalent, the written one stays, so that spaces
    or order are not a difference.
    """
    if isinstance(written, dict) and isinstance(live, dict):
        return {
            key: None if value is None else as_written(value, live.get(key, value))
            for key, value in written.items()
        }
    if isinstance(written, list) and isinstance(live, list) and len(written) == len(live):
        if same(written, live):
            return written
        return [as_written(*each) for each in zip(written, live, strict=True)]
    return written if same(written, live) else live


def drifted(name: str, written: Any, live: Mapping[str, Any]) -> Any:
    """Return an input's live value; tags and labels include unmanaged ones."""
    if name not in live:
        return written
    return live[name] if name in {"tags", "labels"} else as_written(written, live[name])


def top(path: str) -> str:
    """Return the first property of a path."""
    return path.partition(".")[0]


def covers(properties: frozenset[str], path: str) -> bool:
    """Whether a path or one of its parents is among the properties."""
    parts = path.split(".")
    return any(".".join(parts[:length]) in properties for length in range(1, len(parts) + 1))
