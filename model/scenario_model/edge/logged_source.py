"""Notes in the site's audit log what comes down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scenario_model.exchange import crossings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.catalogue.sources import Source
    from scenario_model.exchange.audit import AuditLog


class LoggedSource:
    """A source whose files are noted with the bytes that came, all of them or not. `peer`: where they come from."""

    def __init__(self, source: Source, log: AuditLog, peer: str) -> None:
        self._source, self._log, self._peer = source, log, peer

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Source`. Raises ScenarioModelError if it cannot be noted; then it is not used."""
        came, began = crossings.Hashed(self._source.read(path, start)), time.time()
        try:
            yield from came
        finally:
            if came.bytes:
                self._log.record(crossings.of_file(began, self._peer, path, came.bytes, came.sha256))
