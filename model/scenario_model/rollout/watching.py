"""Whether sites ask for retraining of the release that they serve. Pure.

Detectors compare traffic with what a release was made for. Within a rollout it may be the release that does not fit,
and the rollout takes it back; later it is the traffic that has changed, and what helps is another release.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scenario_model.exchange.contract import Drift, Metrics

if TYPE_CHECKING:
    from collections.abc import Collection

    from scenario_model.exchange.contract import Message


@dataclass(slots=True)
class Watch:
    """A site's detectors. `release`: whose traffic they watch, empty if none do; `since`: when the reports began that
    all ask for retraining, in seconds since 1970, None if the last one does not."""

    release: str = ""
    since: float | None = None

    def add(self, message: Message, arrived: float) -> None:
        """Take in a report, the oldest first."""
        if isinstance(message, Drift):
            if message.asks != "retraining":
                self.since = None
            elif self.since is None or message.release != self.release:
                self.since = arrived
            self.release = message.release
        elif isinstance(message, Metrics) and message.release != self.release:
            # Another release is served, and nothing is known of its detectors yet.
            self.release, self.since = "", None


@dataclass(frozen=True, slots=True)
class Asking:
    """How many sites ask for retraining of a release, of so many that watch it, and since when the first one does."""

    release: str
    sites: int
    of: int
    since: float

    def __str__(self) -> str:
        """For a person."""
        when = datetime.fromtimestamp(self.since, UTC).isoformat(timespec="seconds")
        return f"retraining of {self.release} is asked for by {self.sites} of {self.of} sites, since {when}"


def asking(watches: Collection[Watch], release: str) -> Asking | None:
    """The sites that ask for retraining of a release; None if none does."""
    mine = [each for each in watches if each.release == release]
    since = [each.since for each in mine if each.since is not None]
    return Asking(release, len(since), len(mine), min(since)) if since else None
