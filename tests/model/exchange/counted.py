"""Reports as whoever reads them counts them: each (site, number) once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.exchange.inbox import Inbox, Report


def counted(inbox: Inbox, since: float = 0.0) -> Iterator[Report]:
    """Each report once, in the order of arrival."""
    seen: set[tuple[str, int]] = set()
    for report in inbox.arrived(since):
        if (report.site, report.number) not in seen:
            seen.add((report.site, report.number))
            yield report
