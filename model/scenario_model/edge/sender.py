"""Sends what waits in a site's spool: in order, batch after batch, at once when the link returns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scenario_model.errors import Refused, TemporaryError
from scenario_model.exchange import crossings
from scenario_model.exchange.inbox import packed

if TYPE_CHECKING:
    from scenario_model.exchange.contract import Crossing
    from scenario_model.exchange.inbox import Reports
    from scenario_model.exchange.spool import Spool


class Line(Protocol):
    """A way to the cloud, at `url`."""

    url: str

    def post(self, path: str, content: bytes, *crossing: Crossing) -> dict[str, object]:
        """The JSON object that is answered. `crossing`: what goes up with it, for the site's audit log.

        Raises TemporaryError to try again, Refused if trying again is useless.
        """


@dataclass(frozen=True, slots=True)
class Sender:
    """Empties a spool."""

    spool: Spool
    line: Line

    def drain(self) -> int:
        """Send all that waits, and return how many reports were taken.

        Raises TemporaryError, keeping what was not acknowledged, if the cloud cannot be reached. A report that it
        refuses is given up, alone, because it would be refused again.
        """
        sent = 0
        while batch := self.spool.waiting():
            try:
                answer = self._post(batch)
            except Refused:
                if len(batch) > 1:
                    sent += self._one_by_one(batch)
                    continue
                self.spool.sent(batch[0][0])
                raise
            accepted = answer.get("accepted")
            if type(accepted) is not int or not batch[0][0] <= accepted <= batch[-1][0]:
                raise TemporaryError(f"the cloud acknowledged {accepted!r:.40}, and was sent {batch[-1][0]}")
            self.spool.sent(accepted)
            sent += accepted - batch[0][0] + 1
        return sent

    def _post(self, batch: Reports) -> dict[str, object]:
        crossing = crossings.of_reports(time.time(), self.line.url, batch)
        return self.line.post("v1/reports", packed(batch), *crossing)

    def _one_by_one(self, batch: Reports) -> int:
        sent = 0
        for sequence, content in batch:
            try:
                self._post([(sequence, content)])
                sent += 1
            except Refused:
                pass
            self.spool.sent(sequence)
        return sent
