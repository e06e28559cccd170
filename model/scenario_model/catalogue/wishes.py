"""Sites' wishes for the hosted endpoint: as long as one has them, an autoscaler keeps it running.

A replica keeps its wishes in memory; sites repeat theirs every few seconds until the endpoint answers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scenario_model.errors import Refused
from scenario_model.serve.access import Keyring
from scenario_model.serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scenario_model.serve.settings import ApiKeys

# Longer than sites and the autoscaler pause together, so that none is missed.
_LASTS_SECONDS = 60.0


class Wishes:
    """Who may wish for the endpoint, and whether somebody does."""

    def __init__(self, api_keys: ApiKeys, now: Callable[[], float] = time.monotonic) -> None:
        """`api_keys`: of the endpoint; whoever may use it may have it started."""
        self._keyring, self._now = Keyring(api_keys), now
        self._until = now()

    def wish(self, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """Wish for the endpoint; return the key's name. Raises Refused for another key."""
        try:
            name = self._keyring.identify(headers)
        except ApiError:
            raise Refused("a key of the hosted endpoint is required") from None
        self._until = self._now() + _LASTS_SECONDS
        return name

    @property
    def open(self) -> bool:
        """Whether somebody wished for it lately."""
        return self._now() < self._until
