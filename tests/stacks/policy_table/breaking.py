"""Policies with something missing: a statement, what narrows it, or a whole policy's restraint."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.stacks.policy_table.account import Document

PUBLIC_ACCESS_BLOCK = "public access block"
"""Stands among the policies, with no statements: what is closed to the public whatever its policy says."""


def statements(name: str, document: Document | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement with its name: `policy/Sid`, or its place where it has none."""
    for place, statement in enumerate(document["Statement"] if document else ()):
        yield f"{name}/{statement.get('Sid', place)}", statement


def without(name: str, document: Document | None, statement: str) -> Document:
    """Return a policy without a statement."""
    left = [each for known, each in statements(name, document) if known != statement]
    return {**(document or {}), "Statement": left}


def loosened(
    documents: dict[str, Document | None], what: Iterable[str], who: str | None
) -> dict[str, Document | None]:
    """Return policies without some of what keeps `who` out; a whole policy opens if it allows them everything."""
    documents = dict(documents)
    for each in what:
        name, _, rest = each.partition("/")
        if name == PUBLIC_ACCESS_BLOCK:
            documents[name] = None
        elif not rest:
            documents[name] = _opened(name, documents[name], who)
        else:
            documents[name] = _loosened(name, documents[name], *rest.split("/", 1))
    return documents


def _loosened(name: str, document: Document | None, statement: str, part: str = "") -> Document | None:
    """Return a policy without a statement that denies, or with one that allows more; as it is, if it has none."""
    document, statement = copy.deepcopy(document), f"{name}/{statement}"
    found = dict(statements(name, document)).get(statement, {})
    if found and part:
        _widen(found, part)
    return without(name, document, statement) if found.get("Effect") == "Deny" else document


def _opened(name: str, document: Document | None, who: str | None) -> Document:
    """Let `who` do everything, by the kind of policy that `name` says."""
    more: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    if name.startswith("endpoint "):
        more["Principal"] = "*"
    elif name.startswith(("trust of ", "key ")) or name.endswith(" policy"):
        kind = "Service" if who and who.endswith(".amazonaws.com") else "AWS"
        more["Principal"] = {kind: who} if who else "*"
        if name.startswith("trust of "):
            del more["Resource"]
            more["Action"] = "sts:*"
    return {"Version": "2012-10-17", "Statement": [*(document["Statement"] if document else ()), more]}


def _widen(statement: dict[str, Any], part: str) -> None:
    if part in ("Action", "Resource"):
        statement[part] = "*"
        return
    for conditions in statement.get("Condition", {}).values():
        conditions.pop(part, None)
    statement["Condition"] = {key: each for key, each in statement.get("Condition", {}).items() if each}
