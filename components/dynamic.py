"""What Pulumi's dynamic providers of this project share."""

from __future__ import annotations

import sys

from pulumi.dynamic import ResourceProvider

from components.processes import end_with_engine


class Provider(ResourceProvider):
    """A dynamic provider that no state holds a copy of: the code at hand is what runs later."""

    serialize_as_secret_always = False


def settle_in() -> None:
    """Make this provider's process answer errors in one line, and end with its engine.

    Pulumi's dynamic providers send a whole traceback; Python leaves its frames out when told to. Called at
    the start of each operation, because a provider has no other moment that is its own.
    """
    sys.tracebacklimit = 0
    end_with_engine()
