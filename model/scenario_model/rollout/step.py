"""One idempotent step of a rollout, for a timer: look at what sites report, and lead the next ring, or all back.

What shall be rolled out is channel `rollout`, which a person or a pipeline promotes. What each ring has had is channel
`ring-<name>`, whose signed entries say when, and who or what moved it; which sites tried it before the first ring is in
its journal. Channel `halted` has what was halted. A step that is killed anywhere is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scenario_model.catalogue.documents import Assignment, ring_target
from scenario_model.errors import Refused
from scenario_model.release import channel
from scenario_model.rollout import journal
from scenario_model.rollout.decide import Decision, decide
from scenario_model.rollout.fleet import fleet
from scenario_model.rollout.journal import begun_again, last_trial, settled_at
from scenario_model.rollout.tally import tallies
from scenario_model.rollout.trial_run import TrialRun
from scenario_model.rollout.watching import asking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.catalogue.enrolment import Enrolments
    from scenario_model.catalogue.keeper import Keeper
    from scenario_model.catalogue.signers import CatalogueSigner
    from scenario_model.exchange.inbox import Inbox
    from scenario_model.release.store import Store
    from scenario_model.rollout.journal import Trial
    from scenario_model.rollout.settings import RolloutSettings
    from scenario_model.rollout.tally import Tally
    from scenario_model.signing.keys import SigningKey

ROLLOUT, HALTED = "rollout", "halted"
_BY = "rollout"
_LONGEST_SECONDS = 7 * 86_400.0
"""A rollout has come to its end by then, although some sites may have said too little to be well."""


@dataclass(frozen=True)
class Rollout:
    """The rollout of releases of one name.

    `key`, `signer`: the online key, for channels and for the catalogue. `release_key`: of the key that signs releases.
    """

    name: str
    settings: RolloutSettings
    store: Store
    keeper: Keeper
    inbox: Inbox
    enrolments: Enrolments
    key: SigningKey
    signer: CatalogueSigner
    release_key: ec.EllipticCurvePublicKey

    def step(self, now: float, floor: int = 0) -> Decision:
        """Do what is to be done now, in seconds since 1970. Raises what the store, the keys and the channels raise."""
        wanted = self._current(ROLLOUT)
        if wanted is None:
            return Decision("hold", "nothing is to be rolled out")
        if self.settings.initial == "all-rings":
            self._begin(wanted, now)
        moved = {ring: self._moved(ring, wanted) for ring in self.settings.rings}
        since = {ring: at for ring, at in moved.items() if at is not None}
        self._repair(wanted, floor, now)
        run = self._run()
        log = run.log(wanted)
        known = self._known(wanted, since, log, now)
        halted = self._current(HALTED) == wanted and not begun_again(log)
        if halted:
            decision = Decision("back", "it was halted")
        else:
            decision = self._decide(wanted, since, last_trial(log), known, now, floor)
        if decision.action == "try":
            run.begin(wanted, decision.sites, floor, _iso(now), decision.why, after=len(log))
        if decision.action == "advance":
            # The history first: what a ring serves is always in it.
            self._promote(_ring(decision.ring), wanted, now, decision.why)
            self._assign(decision.ring, wanted, floor)
        if decision.action == "back":
            # Once this is written, every further step goes on with it, whatever sites report meanwhile.
            self._promote(HALTED, wanted, now, decision.why)
            if begun_again(log):
                journal.append(self.store, wanted, self.key, "halt", at=_iso(now), why=decision.why)
            run.end(wanted, _iso(now), decision.why)
            decision = self._back([*since], wanted, floor, now, decision.why)
        elif since or decision.action == "advance":
            run.end(wanted, _iso(now), "the first ring has it")
        self.keeper.refresh(self.signer)
        over = halted or self._ended(wanted, log, since, decision, now)
        if over and decision.action != "back":
            decision = replace(decision, asks=self._asks(wanted, log, known, now))
        return decision

    def _begin(self, wanted: str, now: float) -> None:
        """Give rings without a release one at once: what the last ring has, which was led through all of them."""
        has = {ring: self._current(_ring(ring)) for ring in self.settings.rings}
        proven = [release for release in has.values() if release]
        for ring, release in has.items():
            if release is None and wanted != self._current(HALTED):
                why = "the ring's first release"
                self._promote(_ring(ring), proven[-1] if proven else wanted, now, why)

    def _repair(self, wanted: str, floor: int, now: float) -> None:
        """Do what a killed step had written into the history only, and end trials of what is not wanted any more."""
        for ring in self.settings.rings:
            if current := self._current(_ring(ring)):
                self._assign(ring, current, floor)
        earlier = [entry.release for entry in reversed(self._history(ROLLOUT)) if entry.release != wanted]
        self._run().end_others(earlier, _iso(now))

    def _decide(
        self,
        wanted: str,
        since: dict[str, float],
        trial: Trial | None,
        known: Mapping[str, Tally],
        now: float,
        floor: int,
    ) -> Decision:
        tried = None
        # A ring without a release has nothing to go back to, and its sites nothing to serve.
        if not since and self.settings.first_sites and self._current(_ring(self.settings.rings[0])):
            tried = self._run().tried(wanted, trial)
            if trial and trial.open:
                self._run().resume(wanted, trial, floor)
        # Those that never said anything are not well, and not forgotten.
        return decide(self.settings, since, fleet(known, self.enrolments.rings()), now, tried)

    def _ended(
        self,
        wanted: str,
        log: Sequence[journal.Entry],
        since: Mapping[str, float],
        decision: Decision,
        now: float,
    ) -> bool:
        """Whether the release was led to the end, which is written down."""
        if settled_at(log) is not None:
            return True
        why = decision.why if decision.action == "done" else ""
        if len(since) == len(self.settings.rings) and now - max(since.values()) >= _LONGEST_SECONDS:
            # Sites that nobody asks are never well.
            why = why or "all rings have had it for a week"
        if not why or decision.action == "back":
            return False
        journal.append(self.store, wanted, self.key, "done", at=_iso(now), why=why)
        return True

    def _asks(self, wanted: str, log: Sequence[journal.Entry], known: Mapping[str, Tally], now: float) -> str:
        """Say whether enough sites ask for another release; the first time it is written down."""
        enrolled, latest = self.enrolments.rings(), now - self.settings.present_seconds
        there = [each.watch for name, each in known.items() if name in enrolled and each.seen_at >= latest]
        found = asking(there, wanted)
        if found is None or found.sites < self.settings.retraining_share * found.of:
            return ""
        if not any(entry.action == "asked" for entry in log):
            journal.append(self.store, wanted, self.key, "asked", at=_iso(now), why=str(found))
        return str(found)

    def _run(self) -> TrialRun:
        return TrialRun(self.store, self.keeper, self.key, self.signer)

    def _known(
        self, wanted: str, since: dict[str, float], log: Sequence[journal.Entry], now: float
    ) -> dict[str, Tally]:
        """What sites have said since the release was tried for the first time."""
        trial = last_trial(log)
        times = [*since.values(), *([trial.since] if trial and (trial.open or since) else [])]
        began, rules = int(min(times, default=now)), self.settings.judgement
        return tallies(wanted, began, now, self.inbox, self.store, rules, settled=settled_at(log))

    def _back(self, rings: list[str], wanted: str, floor: int, now: float, why: str) -> Decision:
        left = []
        for ring in rings:
            former = self._roll_back(_ring(ring), now, why)
            if former is None:
                left.append(ring)
            else:
                self._assign(ring, former, floor)
        if left or self._roll_back(ROLLOUT, now, why) is None:
            return Decision(
                "hold", f"{wanted} was halted ({why}), and there is no release before it to go back to"
            )
        return Decision("back", why)

    def _roll_back(self, name: str, now: float, why: str) -> str | None:
        """Point a channel back; None if it never pointed anywhere else."""
        try:
            return channel.rollback(
                self.store,
                self.name,
                name,
                self.key,
                at=_iso(now),
                by=f"{_BY}: {why}",
                release_key=self.release_key,
            )
        except Refused:
            if len({entry.release for entry in self._history(name)}) < 2:
                return None
            raise

    def _promote(self, name: str, release: str, now: float, why: str) -> None:
        channel.promote(
            self.store,
            release,
            name,
            self.key,
            at=_iso(now),
            by=f"{_BY}: {why}",
            release_key=self.release_key,
        )

    def _assign(self, ring: str, release: str, floor: int) -> None:
        self.keeper.assign(ring_target(ring), Assignment(ring, release, floor), self.signer)

    def _history(self, name: str) -> list[channel.Entry]:
        return channel.history(self.store, self.name, name, self.key.public_key())

    def _current(self, name: str) -> str | None:
        history = self._history(name)
        return history[-1].release if history else None

    def _moved(self, ring: str, release: str) -> float | None:
        """When a ring was led to a release; None if it is elsewhere."""
        history = self._history(_ring(ring))
        if not history or history[-1].release != release:
            return None
        return datetime.fromisoformat(history[-1].at).timestamp()


def _ring(ring: str) -> str:
    return f"ring-{ring}"


def _iso(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
