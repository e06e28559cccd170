"""Whether a comment says what the engine said: nothing missing, nothing invented. Reads both anew, from their texts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from policies.rule import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_OPS = {"+": "create", "~": "update", "±": "replace", "-": "delete"}
_ROW = re.compile(r"^\| ([-+~±]) \| (.*?) \| (.*) \|$")
_Said = set[tuple[str, str, str]]
"""What happens, to which type, by which name."""


def said_by_the_comment(text: str) -> _Said:
    """Read the tables of changes in a comment."""
    found: _Said = set()
    for line in text.splitlines():
        if row := _ROW.match(line):
            op, resource, what = _OPS[row[1]], re.findall(r"`([^`]+)`", row[2]), row[3]
            if op == "create":
                found |= {(op, resource[0], name) for name in re.findall(r"`([^`]+)`", what)}
            else:
                found.add((op, resource[0], resource[1]))
    return found


def said_by_the_engine(events: Iterable[Mapping[str, Any]]) -> tuple[_Said, _Said]:
    """Read the engine's log: what it would do, and what of it concerns unknown values alone."""
    whole: _Said = set()
    doubtful: _Said = set()
    for event in events:
        told = (event.get("resourcePreEvent") or {}).get("metadata") or {}
        kind = str(told.get("type", ""))
        if told.get("op") not in _OPS.values() or kind.startswith(("pulumi:providers:", "pulumi:pulumi:")):
            continue
        name = re.sub(r"\s+", " ", str(told["urn"]).rpartition("::")[2])[:80]
        step = (str(told["op"]), kind.removeprefix("pulumi-python:dynamic/"), name)
        whole.add(step)
        if step[0] in ("update", "replace") and _only_unknown(told):
            doubtful.add(step)
    return whole, doubtful


def _only_unknown(told: Mapping[str, Any]) -> bool:
    """Whether all properties that differ have something unknown, before or after, or are secrets."""
    before, after = (dict((told.get(side) or {}).get("inputs") or {}) for side in ("old", "new"))
    named = told.get("detailedDiff") or told.get("diffs") or []
    tops = {re.split(r"[.\[]", path, maxsplit=1)[0] for path in named}
    tops |= {name for name in {*before, *after} if not named and before.get(name) != after.get(name)}
    return bool(tops) and all(_unknown(before.get(top)) or _unknown(after.get(top)) for top in tops)


def _unknown(value: Any) -> bool:
    return UNKNOWN in json.dumps(value) or "[secret]" in json.dumps(value)


def unfaithful(events: Iterable[Mapping[str, Any]], text: str) -> Iterator[str]:
    """Yield what a comment leaves out or makes up."""
    whole, doubtful = said_by_the_engine(events)
    told = said_by_the_comment(text)
    yield from (f"made up: {each}" for each in sorted(told - whole))
    yield from (f"left out: {each}" for each in sorted(whole - told - doubtful))
