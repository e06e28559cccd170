"""A report of drift from what sites have reported: the evidence of one of them, and how many more ask with it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scenario_model.drift.agreement import promised
from scenario_model.errors import InputError, Refused
from scenario_model.exchange.contract import Drift
from scenario_model.observe.windows import Window
from scenario_model.report import drift_report
from scenario_model.rollout.status import sites_now
from scenario_model.rollout.watching import asking

if TYPE_CHECKING:
    from scenario_model.catalogue.enrolment import Enrolments
    from scenario_model.exchange.inbox import Inbox
    from scenario_model.report.drift_report import DriftReport
    from scenario_model.rollout.settings import RolloutSettings


def of_sites(
    inbox: Inbox, enrolments: Enrolments, name: str, settings: RolloutSettings, since: float, now: float
) -> DriftReport:
    """Say what present sites ask for of the release of this name that most of them watch.

    Args:
        inbox: what sites report.
        enrolments: who is a site; others do not count.
        name: of the release, without its digest.
        settings: of the rollout: which sites are present, and how many of them have to ask.
        since: what arrived before is not read, in seconds since 1970.
        now: seconds since 1970.

    Raises:
        Refused: too few of them ask for retraining.
        InputError: their detectors are none that this version knows.

    """
    sites = sites_now(inbox.arrived(since), enrolments, now, settings.present_seconds)
    mine = {
        each.site: each.watch for each in sites if each.watch and each.watch.release.partition("@")[0] == name
    }
    release = next(iter(Counter(each.release for each in mine.values()).most_common(1)), ("", 0))[0]
    found = asking(mine.values(), release)
    if found is None or found.sites < settings.retraining_share * found.of:
        raise Refused(
            f"{found.sites if found else 0} of {found.of if found else len(mine)} present sites that watch {name} ask "
            f"for retraining, and it takes one at least, and {settings.retraining_share:.0%} of them",
            remedy="wait, or lower rollout.retraining_share; `scenario-model rollout status` shows what sites say",
        )
    first = next(site for site, each in mine.items() if (each.release, each.since) == (release, found.since))
    windows = _windows(inbox, since, first, release)
    made = drift_report.of_windows(windows, release, _promise(first, windows[-1]))
    counts = drift_report.Sites(asking=found.sites, watching=found.of, since=round(found.since, 1))
    return made.model_copy(update={"sites": counts})


def _windows(inbox: Inbox, since: float, site: str, release: str) -> list[Window]:
    """What one site has said of a release's traffic. A second look, so that not all sites' windows are in memory."""
    found: dict[int, Window] = {}
    for report in inbox.arrived(since):
        if report.site == site and isinstance(report.message, Drift) and report.message.release == release:
            found.setdefault(report.number, _window(report.message))
    return [found[number] for number in sorted(found)]


def _promise(site: str, window: Window) -> float:
    found = promised((name, most) for name, _, most in window.signals)
    if found is None:
        raise InputError(
            "none of its detectors is known here",
            where=f"site {site}",
            remedy="use its version of this program",
        )
    return round(found, 3)


def _window(drift: Drift) -> Window:
    """What a site's own log has of it, as far as that crosses."""
    return Window(
        start=drift.at - drift.window_seconds,
        seconds=drift.window_seconds,
        release=drift.release,
        answered=0,
        refused=0,
        failed=0,
        units=drift.units,
        first_token_ms=None,
        signals=[(each.name, each.value, each.threshold) for each in drift.signals],
        asks=drift.asks,
    )
