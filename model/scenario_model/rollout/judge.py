"""What one site's reports say of a release: well, failed, or not known yet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scenario_model.exchange.contract import BOUNDS_MS, Drift, Metrics, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scenario_model.exchange.contract import Message
    from scenario_model.rollout.settings import Judgement

Verdict = Literal["well", "failed", "unknown"]
_QUANTILE = 0.9


def verdict(release: str, reports: Iterable[Message], rules: Judgement) -> Verdict:
    """Judge a release by a site's reports, the oldest first.

    Missing data decide nothing: a site that has said too little is `unknown`. A site that refused the release because
    it could not be loaded, or was too slow, has failed; so has one whose detectors ask for retraining since it has it.
    """
    reports = list(reports)
    if any(gave_up(release, report) for report in reports) or _grew_wrong(release, reports):
        return "failed"
    periods = [each for each in reports if isinstance(each, Metrics) and asked(each) >= rules.answers]
    usual = _quantile([each for each in periods if each.release != release])
    now = [is_bad(each, usual, rules) for each in periods if each.release == release]
    if len(now) < rules.periods:
        return "unknown"
    last = now[-rules.periods :]
    return "failed" if all(last) else "unknown" if any(last) else "well"


def gave_up(release: str, report: Message) -> bool:
    """Whether a report says that the release could not be loaded, or was too slow."""
    return (
        isinstance(report, Status)
        and report.assigned == release
        and report.refusal in {"load", "selftest", "slow"}
    )


def was_wrong(release: str, report: Message) -> bool:
    """Whether a site's detectors asked for retraining of another release: its traffic has drifted, not the release."""
    return isinstance(report, Drift) and report.release != release and report.asks == "retraining"


def turned_wrong(release: str, report: Message) -> bool:
    """Whether a site's detectors ask for retraining of the release. A warning alone says nothing: they are frequent."""
    return isinstance(report, Drift) and report.release == release and report.asks == "retraining"


def _grew_wrong(release: str, reports: Iterable[Message]) -> bool:
    """Whether detectors ask for it with the release, and had not asked for it before."""
    for report in reports:
        if was_wrong(release, report):
            return False
        if turned_wrong(release, report):
            return True
    return False


def asked(period: Metrics) -> int:
    """Requests of a period that were the server's to answer."""
    return period.answered + period.failed


def is_bad(period: Metrics, usual: float | None, rules: Judgement) -> bool:
    """Whether a period had too many failures, or was too slow compared with what is usual for the site."""
    if period.failed > rules.error_share * asked(period):
        return True
    now = _quantile([period])
    return usual is not None and now is not None and now > usual * rules.slower_by


def _quantile(periods: Sequence[Metrics]) -> float | None:
    return quantile(
        [sum(numbers) for numbers in zip(*(each.first_token_ms for each in periods), strict=True)]
    )


def quantile(counts: Sequence[int]) -> float | None:
    """The 90 % quantile of a histogram with `BOUNDS_MS`, in milliseconds, interpolated within its bucket."""
    total = sum(counts)
    if not total:
        return None
    wanted, below, lower = total * _QUANTILE, 0, 0.0
    upper: float
    for count, upper in zip(counts, (*BOUNDS_MS, 2 * BOUNDS_MS[-1]), strict=True):
        if below + count >= wanted:
            return float(lower + (upper - lower) * (wanted - below) / count)
        below, lower = below + count, float(upper)
    return lower
