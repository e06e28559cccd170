"""Types for where a scenario puts training, serving, inference and data. Pure: standard library, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where one concern of a scenario lives."""

    PREMISES = "premises"
    """On the customer's hosts, reached by Ansible."""
    CLOUD = "cloud"
    """In a public cloud or any Kubernetes cluster."""
    EXCHANGED = "exchanged"
    """On both sides; only what the exchange contract lists crosses."""
    UNSPECIFIED = "unspecified"
    """Left to the user; a signed release comes in or goes out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """The places of a scenario's four concerns."""

    training: Place
    serving: Place
    inference: Place
    data: Place

    def as_output(self) -> dict[str, str]:
        """Return the four places by name, as the stack output `placement` shows them."""
        return {name: str(getattr(self, name)) for name in ("training", "serving", "inference", "data")}
