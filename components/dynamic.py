"""Base of this project's dynamic providers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import DiffResult, ResourceProvider

from components.processes import end_with_engine

if TYPE_CHECKING:
    from collections.abc import Mapping


class Provider(ResourceProvider):
    """A dynamic provider that is not serialised into the state: later runs use the current code."""

    serialize_as_secret_always = False


def asked_anew(olds: Mapping[str, Any], news: Mapping[str, Any], *names: str) -> DiffResult:
    """Return the difference of a resource that asks for something: it is another one if one of these inputs is."""
    changed = [name for name in names if olds.get(name) != news.get(name)]
    return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=False)


def settle_in() -> None:
    """Make this provider's process report errors in one line, and end with its engine.

    Pulumi's dynamic providers send a whole traceback; this suppresses its frames. Called at the start of each
    operation, because a provider has no other hook.
    """
    sys.tracebacklimit = 0
    end_with_engine()
