"""What is known of each site about one release, kept up to date report by report, so that no report is read twice.

A tally says what `judge.verdict` says of all reports so far; it has what that needs, and no more.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from scenario_model.errors import Refused
from scenario_model.exchange.contract import BOUNDS_MS, Metrics
from scenario_model.rollout.judge import asked, gave_up, is_bad, quantile, turned_wrong, was_wrong
from scenario_model.rollout.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scenario_model.exchange.inbox import Inbox, Report
    from scenario_model.release.store import Store
    from scenario_model.rollout.judge import Verdict
    from scenario_model.rollout.settings import Judgement

_FOLDER = "tallies"
# A receiver names an object by its own clock, and writes it a moment later: what is younger is read again.
_COMPLETE_SECONDS = 600.0
_KEPT_SECONDS = 600.0
_BASELINE_SECONDS = 3600.0


@dataclass(slots=True)
class Tally:
    """One site. `number`: of its last report; `usual`: how often its first tokens took how long, before the release."""

    number: int = 0
    seen_at: float = 0.0
    usual: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    recent: list[dict[str, Any]] = field(default_factory=list)
    gave_up: bool = False
    drifted: bool = False
    verdict: Verdict = "unknown"
    decided_at: float | None = None
    watch: Watch = field(default_factory=Watch)

    def add(
        self,
        release: str,
        report: Report,
        rules: Judgement,
        since: float = 0.0,
        settled: float | None = None,
    ) -> None:
        """Take in a report, once. A verdict's time is that of the report that completed it.

        What arrived before `since` is about an earlier time with the same release, and only tells what is usual. Drift
        that shows itself after the release was `settled` everywhere is the traffic's, and does not count against it.
        """
        if report.number <= self.number:
            return
        self.number, self.seen_at = report.number, report.arrived
        message = report.message
        self.watch.add(message, report.arrived)
        if report.arrived >= since:
            self.gave_up = self.gave_up or gave_up(release, message)
            if not self.drifted and (settled is None or report.arrived <= settled):
                self.gave_up = self.gave_up or turned_wrong(release, message)
        self.drifted = self.drifted or was_wrong(release, message)
        if isinstance(message, Metrics) and asked(message) >= rules.answers:
            if message.release == release and report.arrived >= since:
                self.recent = [*self.recent, message.model_dump(mode="json")][-rules.periods :]
            else:
                pairs = zip(self.usual, message.first_token_ms, strict=True)
                self.usual = [mine + more for mine, more in pairs]
        now = self._judged(rules)
        if now != self.verdict:
            self.verdict, self.decided_at = now, None if now == "unknown" else report.arrived

    def _judged(self, rules: Judgement) -> Verdict:
        if self.gave_up:
            return "failed"
        if len(self.recent) < rules.periods:
            return "unknown"
        usual = quantile(self.usual)
        bad = [is_bad(Metrics.model_validate(each), usual, rules) for each in self.recent]
        return "failed" if all(bad) else "unknown" if any(bad) else "well"


def tallies(
    release: str,
    since: float,
    now: float,
    inbox: Inbox,
    store: Store,
    rules: Judgement,
    *,
    settled: float | None = None,
    keep: bool = True,
) -> dict[str, Tally]:
    """Every site that has reported, by name.

    Args:
        release: the one that is rolled out.
        since: when its rollout began, in seconds since 1970; an hour before it is read for what is usual.
        now: seconds since 1970.
        inbox: the reports.
        store: where tallies are kept between steps.
        rules: when a site counts as failed.
        settled: when its rollout had come to its end, if it has.
        keep: whether to write what was found; not for those who only look.

    """
    folder = _folder(release, since)
    through, found = _kept(store, folder)
    begin, complete = max(through, since - _BASELINE_SECONDS), now - _COMPLETE_SECONDS

    def add(reports: Iterable[Report]) -> None:
        for report in reports:
            found.setdefault(report.site, Tally()).add(release, report, rules, since, settled)

    if complete - begin >= _KEPT_SECONDS:
        add(inbox.arrived(begin, complete))
        if keep:
            _keep(store, folder, complete, found)
        begin = complete
    add(inbox.arrived(begin))
    return found


def _keep(store: Store, folder: str, through: float, found: dict[str, Tally]) -> None:
    content = json.dumps({name: asdict(tally) for name, tally in found.items()}).encode()
    # Of two steps at once, the other's is as good.
    store.create(f"{folder}/{int(through * 1000):014d}.gz", gzip.compress(content, mtime=0))


def _kept(store: Store, folder: str) -> tuple[float, dict[str, Tally]]:
    """The newest kept tallies, and the time up to which they know everything; 0.0 and none."""
    names = store.children(folder)
    if not names:
        return 0.0, {}
    where = f"{folder}/{names[-1]}"
    try:
        read = json.loads(gzip.decompress(store.read(where) or b""))
        found = {name: _tally(told) for name, told in read.items()}
        return int(names[-1].partition(".")[0]) / 1000, found
    except (OSError, EOFError, ValueError, TypeError):
        raise Refused(
            "is not an object of tallies", where=where, remedy="remove it; it is made again"
        ) from None


def _tally(told: dict[str, Any]) -> Tally:
    return Tally(**{**told, "watch": Watch(**told.get("watch", {}))})


def _folder(release: str, since: float) -> str:
    """By the rollout's beginning too: what a site said of a release in an earlier rollout does not count."""
    return f"{_FOLDER}/{release.rpartition(':')[2]}-{int(since)}"
