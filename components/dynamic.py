"""Base of this project's dynamic providers."""

from __future__ import annotations

import sys

from pulumi.dynamic import ResourceProvider

from components.processes import end_with_engine


class Provider(ResourceProvider):
    """A dynamic provider that is not serialised into the state: later runs use the current code."""

    serialize_as_secret_always = False


def settle_in() -> None:
    """Make this provider's process report errors in one line, and end with its engine.

    Pulumi's dynamic providers send a whole traceback; this suppresses its frames. Called at the start of each
    operation, because a provider has no other hook.
    """
    sys.tracebacklimit = 0
    end_with_engine()
