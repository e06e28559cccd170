"""The exchange contract: every kind of message between sites and the cloud, its direction, form and size. Pure.

Up go numbers, names and codes: no field takes free text, and none is a sketch of texts from which words could be
rebuilt. Read by the gateway, the agent and whoever receives.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError

from scenario_model.config import Section
from scenario_model.drift.agreement import Asks, asks
from scenario_model.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Direction = Literal["up", "down"]
Count = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=-1e12, le=1e12)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Time = Annotated[float, Field(ge=0, le=4e9)]
"""Seconds since 1970."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
ReleaseName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?@sha256:[0-9a-f]{64}$")
]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}$")]

BOUNDS_MS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
"""Upper bounds of the histograms of times, in milliseconds; what is slower is counted after the last."""
Histogram = Annotated[
    tuple[Count, ...], Field(min_length=len(BOUNDS_MS) + 1, max_length=len(BOUNDS_MS) + 1, strict=False)
]


class Message(Section):
    """Base of what a site reports. `at`: when, by the site's clock."""

    at: Time


class Status(Message):
    """Which versions a site has, and how it is."""

    kind: Literal["status"] = "status"
    release: ReleaseName | None
    """The release that answers; null: none does."""
    previous: ReleaseName | None = None
    """The release that is kept for a rollback."""
    state: Literal["serving", "loading", "failed", "stopped"]
    step: Literal["idle", "waiting", "downloading", "verifying", "switching", "refused"] = "idle"
    """What the agent does with the assigned release; waiting: for a maintenance window."""
    assigned: ReleaseName | None = None
    received_bytes: Count = 0
    """Of the assigned release."""
    refusal: Literal[
        "", "catalogue", "expired", "floor", "signature", "room", "load", "selftest", "slow", "link"
    ] = ""
    """Why the assigned release is not taken, by kind; the words are in the site's own log."""
    catalogue_version: Count = 0
    catalogue_expires: Time = 0
    package: Version
    free_mib: Count = 0
    dropped_reports: Count = 0
    """Reports that the site had to give up since it was enrolled, for want of room."""


class Metrics(Message):
    """What a site's requests were like in one period. Counts, not rates, so that periods add up."""

    kind: Literal["metrics"] = "metrics"
    release: ReleaseName
    seconds: Seconds
    """The period's length."""
    answered: Count = 0
    refused: Count = 0
    """By the client's fault: 4xx."""
    failed: Count = 0
    """By ours: 5xx, and streams that broke off."""
    local: Count = 0
    remote: Count = 0
    """Of those answered, how many the site computed, and how many the cloud."""
    prompt_tokens: Count = 0
    answer_tokens: Count = 0
    first_token_ms: Histogram = (0,) * (len(BOUNDS_MS) + 1)
    whole_answer_ms: Histogram = (0,) * (len(BOUNDS_MS) + 1)


class Signal(Section):
    """One detector's statistic: its name, value and threshold."""

    name: Name
    value: Score
    threshold: Score


class Drift(Message):
    """Scores of the detectors over one window of traffic."""

    kind: Literal["drift"] = "drift"
    release: ReleaseName
    window_seconds: Seconds
    units: Count
    """Independent units in the window: sessions, not tokens."""
    signals: Annotated[tuple[Signal, ...], Field(max_length=32, strict=False)] = ()
    asks: Asks = "nothing"

    @classmethod
    def seen(
        cls,
        evidence: Iterable[tuple[str, float, float]],
        *,
        at: float,
        release: str,
        seconds: float,
        units: int,
    ) -> Self:
        """Return the report of a window of `seconds`. `evidence`: each detector's name, value and threshold."""
        signals = tuple(
            Signal(name=name, value=round(value, 3), threshold=most) for name, value, most in evidence
        )
        return cls(
            at=round(at, 1),
            release=release,
            window_seconds=seconds,
            units=units,
            signals=signals,
            asks=asks(signals),
        )


UP: Mapping[str, type[Message]] = {"status": Status, "metrics": Metrics, "drift": Drift}
LIMITS: Mapping[str, int] = {"status": 2048, "metrics": 2048, "drift": 8192}
"""Bytes of one message at most, by kind."""
DOWN: Mapping[str, str] = {
    "metadata": "the catalogue's signed metadata",
    "release": "files of a release, signed",
    "assignment": "which release a ring or a site shall serve, signed",
    "certificate": "the site's own certificate, renewed",
}
"""What a site receives, by kind."""
REQUESTS: Mapping[str, Direction] = {"request": "up", "answer": "down", "wake": "up"}
"""What crosses in addition if a site routes to the cloud: requests whose data class may leave, their answers, and the
wish, without content, that the endpoint be started."""
BATCH_BYTES = 256 * 1024
"""Reports that travel together, at most."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One thing that crossed, as the audit log of either side has it. `peer`: the site, or the cloud's address."""

    at: float
    direction: Direction
    kind: str
    bytes: int
    peer: str
    sha256: str


def encode(message: Message) -> bytes:
    """Return a message in its one form on the wire. Raises Refused if it is larger than its kind may be."""
    content = json.dumps(message.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()
    _check_size(message.model_dump()["kind"], len(content))
    return content


def decode(content: bytes) -> Message:
    """Read a message that came up. Raises Refused, without repeating any of it, if the contract has none such."""
    if len(content) > max(LIMITS.values()):
        raise Refused(f"a message of {len(content)} bytes is larger than any of the contract")
    try:
        read = json.loads(content)
        kind = read["kind"]
        form = UP[kind]
        _check_size(kind, len(content))
        message = form.model_validate(read)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
        raise Refused("is not a message of the exchange contract") from None
    if encode(message) != content:
        raise Refused("is a message of the exchange contract, but not in its form")
    return message


def _check_size(kind: str, size: int) -> None:
    if size > LIMITS[kind]:
        raise Refused(f"a message of kind {kind} has {size} bytes, and may have {LIMITS[kind]}")
