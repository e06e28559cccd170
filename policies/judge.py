"""Holds a resource against all rules. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies import cloud, cluster, premises
from policies.rule import NotKnownError, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rule import Resource, Rule

RULES: tuple[Rule, ...] = (*premises.RULES, *cloud.RULES, *cluster.RULES)


def violations(resource: Resource) -> Iterator[Violation]:
    """Yield what is wrong with a resource. Of a mandatory rule, what is not known counts as wrong."""
    for rule in RULES:
        if not rule.is_for(resource.type):
            continue
        try:
            for message in rule.judge(resource):
                yield Violation(rule=rule, resource=resource, message=message, stops=rule.mandatory)
        except NotKnownError as error:
            later = rule.waits or not rule.mandatory
            when = "the update will judge it" if later else "give it a value that a preview knows"
            message = f"`{error}` is not known yet; {when}"
            yield Violation(rule=rule, resource=resource, message=message, stops=not later)
