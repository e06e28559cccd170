"""Validates policy documents, before AWS would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["identity", "trust", "resource", "lifecycle"]
"""Identity policy; trust policy; resource policy; ECR lifecycle policy."""

_STATEMENT = {"Sid", "Effect", "Condition"} | {
    f"{no}{name}" for no in ("", "Not") for name in ("Principal", "Action", "Resource")
}
_VERSIONS = ("2012-10-17", "2008-10-17")


def policy_faults(text: str, kind: Kind) -> Iterator[str]:
    """Yield each fault of a JSON policy, with the statement."""
    try:
        document = json.loads(text)
    except ValueError as error:
        yield f"the policy document is not JSON: {error}"
        return
    if not isinstance(document, dict):
        yield "the policy document is not a JSON object"
    elif kind == "lifecycle":
        yield from _lifecycle_faults(document)
    else:
        yield from _document_faults(document, kind)


def _document_faults(document: dict[str, Any], kind: Kind) -> Iterator[str]:
    for key in sorted(set(document) - {"Version", "Id", "Statement"}):
        yield f"the policy document has no element {key}"
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        yield f"the policy document's Version is {document['Version']!r}, not {_VERSIONS[0]!r}"
    statements = document.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        yield "the policy document has no Statement"
        return
    for number, statement in enumerate(statements):
        if isinstance(statement, dict):
            yield from (f"Statement[{number}]: {fault}" for fault in _statement_faults(statement, kind))
        else:
            yield f"Statement[{number}] is not an object"


def _statement_faults(statement: dict[str, Any], kind: Kind) -> Iterator[str]:
    yield from (f"element {key} is missing" for key in sorted(set(statement) - _STATEMENT))
    if statement.get("Effect") not in {"Allow", "Deny"}:
        yield f"Effect is {statement.get('Effect')!r}, neither 'Allow' nor 'Deny'"
    yield from _exactly_one(statement, "Action", "NotAction")
    if kind == "identity":
        yield from _exactly_one(statement, "Resource", "NotResource")
        if {"Principal", "NotPrincipal"} & set(statement):
            yield "Principal is not allowed in an identity policy"
    else:
        yield from _exactly_one(statement, "Principal", "NotPrincipal")
    if kind == "trust" and {"Resource", "NotResource"} & set(statement):
        yield "Resource is not allowed in a trust policy"
    yield from _form_faults(statement)
    if not isinstance(statement.get("Condition", {}), dict):
        yield "Condition is not an object"


def _form_faults(statement: dict[str, Any]) -> Iterator[str]:
    for key in ("Action", "NotAction"):
        for action in _each(statement.get(key)):
            if not isinstance(action, str) or (action != "*" and ":" not in action):
                yield f"{key} {action!r} is not of the form service:action"
    for key in ("Resource", "NotResource"):
        for resource in _each(statement.get(key)):
            if not isinstance(resource, str) or not resource.startswith(("arn:", "*", "${")):
                yield f"{key} {resource!r} is not an ARN"


def _exactly_one(statement: dict[str, Any], *keys: str) -> Iterator[str]:
    if len(set(keys) & set(statement)) != 1:
        yield f"exactly one of {' and '.join(keys)} is required"


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _lifecycle_faults(document: dict[str, Any]) -> Iterator[str]:
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules:
        yield "the lifecycle policy has no rules"
        return
    for number, rule in enumerate(rules):
        missing = {"rulePriority", "selection", "action"} - set(rule if isinstance(rule, dict) else ())
        yield from (f"rules[{number}]: {key} is missing" for key in sorted(missing))
