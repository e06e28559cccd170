"""What ran where, when and why: rings from signed history, sites from what they reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scenario_model.exchange.contract import Status
from scenario_model.release import channel
from scenario_model.rollout import journal
from scenario_model.rollout.watching import Asking, Watch, asking

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.catalogue.enrolment import Enrolments
    from scenario_model.exchange.inbox import Report
    from scenario_model.release.store import Store

_RING = "ring-"


@dataclass(frozen=True, slots=True)
class RingState:
    """A ring at one time: its release, since when, and who or what led it there."""

    ring: str
    release: str
    since: str
    by: str


@dataclass(frozen=True, slots=True)
class TrialState:
    """What happened to a release beside rings: sites that began to `try` it, an `end`, a `halt`, `again`; that it was
    `done`, and that sites `asked` for another one."""

    release: str
    action: str
    sites: list[str]
    at: str
    why: str


@dataclass(frozen=True, slots=True)
class SiteState:
    """A site now. `state` is what it last said if it is present; `away since …` and `never seen` are not healthy.
    `watch`: what its detectors say, if it is present."""

    site: str
    ring: str
    release: str
    state: str
    watch: Watch | None = None


def rings_at(store: Store, name: str, key: ec.EllipticCurvePublicKey, at: datetime) -> list[RingState]:
    """Return every ring that had a release at a time. Raises Refused if a history is not genuine."""
    found = []
    for each in store.children(f"channels/{name}"):
        if each.startswith(_RING):
            entries = [
                entry
                for entry in channel.history(store, name, each, key)
                if datetime.fromisoformat(entry.at) <= at
            ]
            if entries:
                last = entries[-1]
                found.append(RingState(each.removeprefix(_RING), last.release, last.at, last.by))
    return found


def trials_at(store: Store, name: str, key: ec.EllipticCurvePublicKey, at: datetime) -> list[TrialState]:
    """Return the journals of all releases of a name until a time. Raises Refused if one is not genuine."""
    return [
        TrialState(entry.release, entry.action, entry.sites, entry.at, entry.why)
        for digest in store.children(f"{journal.FOLDER}/{name}")
        for entry in journal.entries(store, f"{name}@sha256:{digest}", key)
        if datetime.fromisoformat(entry.at) <= at
    ]


def sites_now(
    reports: Iterable[Report], enrolments: Enrolments, now: float, present_seconds: float
) -> list[SiteState]:
    """Return every enrolled site, whether it has reported or not."""
    last: dict[str, _Said] = {}
    for report in reports:
        last.setdefault(report.site, _Said()).add(report)
    found = []
    for site, ring in enrolments.rings().items():
        said = last.get(site, _Said())
        release = (said.status.release or "") if said.status else ""
        watch = said.watch if now - said.seen_at <= present_seconds else None
        state = _state(said.seen_at, said.status, now, present_seconds)
        found.append(SiteState(site, ring, release, state, watch))
    return found


def asking_now(sites: Iterable[SiteState], rings: Iterable[RingState]) -> list[Asking]:
    """For each release that a ring has, how many of the present sites ask for retraining of it, if any do."""
    watches = [each.watch for each in sites if each.watch]
    found = [asking(watches, release) for release in sorted({each.release for each in rings})]
    return [each for each in found if each]


@dataclass(slots=True)
class _Said:
    """What a site has said."""

    number: int = 0
    seen_at: float = 0.0
    status: Status | None = None
    watch: Watch = field(default_factory=Watch)

    def add(self, report: Report) -> None:
        if report.number <= self.number:
            return
        self.number, self.seen_at = report.number, report.arrived
        self.watch.add(report.message, report.arrived)
        if isinstance(report.message, Status):
            self.status = report.message


def _state(seen_at: float, status: Status | None, now: float, present_seconds: float) -> str:
    if not seen_at:
        return "never seen"
    if now - seen_at > present_seconds:
        return f"away since {datetime.fromtimestamp(seen_at, UTC).isoformat(timespec='seconds')}"
    if status is None:
        return "present"
    refusal = f" ({status.refusal})" if status.refusal else ""
    return f"{status.state}, {status.step}{refusal}"
