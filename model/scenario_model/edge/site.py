"""One site's agent with all that it needs: a step, the reports about it, and what waits sent."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_model.atomic_io import write_json
from scenario_model.catalogue.sources import FolderSource, HttpsSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.edge.agent import Agent, Outcome
from scenario_model.edge.enrol import AUDIT, SEEN
from scenario_model.edge.line import HttpsLine
from scenario_model.edge.local_server import LocalServer
from scenario_model.edge.logged_source import LoggedSource
from scenario_model.edge.metrics import LocalMetrics
from scenario_model.edge.renewal import renew
from scenario_model.edge.sender import Sender
from scenario_model.errors import InputError, Refused, ScenarioModelError, TemporaryError
from scenario_model.exchange.audit import AuditLog
from scenario_model.exchange.contract import Status
from scenario_model.exchange.spool import Spool

if TYPE_CHECKING:
    from scenario_model.catalogue.sources import Source
    from scenario_model.edge.settings import EdgeSettings

SPOOL, LAST = "reports.sqlite", "last.json"
_LOG = logging.getLogger(__name__)


def opened(settings: EdgeSettings) -> tuple[Source, HttpsSource | None]:
    """The catalogue of a site, and the same if it is a web server."""
    access = settings.catalogue
    if not access.is_remote:
        return FolderSource(Path(access.url)), None
    identity = (access.certificate, access.private_key) if access.certificate and access.private_key else None
    remote = HttpsSource(access.url, access.authority, identity)
    return remote, remote


def visitor_of(settings: EdgeSettings, source: Source) -> Visitor:
    """A site's view of its catalogue. Raises InputError if the pinned root cannot be read."""
    access = settings.catalogue
    try:
        root = access.root.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the root: {error.strerror}", where=str(access.root)) from None
    return Visitor(
        settings.state / SEEN, source, root, at_least=access.at_least, longest=access.longest_timestamp
    )


def last_visit(noted: Path) -> str:
    """When the catalogue was last read and believed; empty if it never was, or if nothing is noted."""
    try:
        return str(json.loads(noted.read_text(encoding="utf-8"))["last_visit"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class Site:
    """The agent of one site, as a process has it."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._audit = AuditLog(settings.state / AUDIT)
        self._line, self._source = self._connect()
        self._visitor = visitor_of(settings, self._source)
        self._server = LocalServer(settings.server, settings.follow)
        self._spool = Spool(settings.state / SPOOL, first=int(time.time() * 1000))
        metrics = settings.metrics
        self._metrics = LocalMetrics(metrics, settings.state / "metrics.json") if metrics else None
        self._said: Outcome | None = None
        self._visited = last_visit(settings.state / LAST)
        self.is_cut_off = False

    def first(self) -> bool:
        """Bring the first release; False if there is one. Raises what `Agent.first` raises."""
        return Agent(self._settings, self._source, self._visitor, self._server).first()

    @property
    def told(self) -> str:
        """The release that the server was told to serve; empty if none."""
        return self._server.told()

    def step(self) -> dict[str, str]:
        """One step, logged if anything is new, reported, and what waits sent."""
        outcome = Agent(self._settings, self._source, self._visitor, self._server).step()
        if outcome != self._said:
            _LOG.info("%s: %s", outcome.step, outcome.words or outcome.serves or "nothing is assigned")
        self._said = outcome
        self._note(outcome)
        self._spool.add(self._status(outcome), *(self._metrics.reports() if self._metrics else []))
        if self._line:
            self._report(self._line)
        return {name: str(getattr(outcome, name)) for name in outcome.__slots__}

    def catch_up(self) -> None:
        """Send what waits, if the cloud could not be reached and can be now."""
        if self.is_cut_off and self._line and self._line.is_reachable():
            self._report(self._line)

    def _connect(self) -> tuple[HttpsLine | None, Source]:
        source, remote = opened(self._settings)
        logged = LoggedSource(source, self._audit, self._settings.catalogue.url.rstrip("/"))
        return HttpsLine(remote, self._audit.record) if remote else None, logged

    def _report(self, line: HttpsLine) -> None:
        access, site = self._settings.catalogue, self._settings.site
        pair = (access.certificate, access.private_key)
        self.is_cut_off = False
        try:
            Sender(self._spool, line).drain()
            if pair[0] and pair[1] and renew(site, pair[0], pair[1], line, self._audit.record):
                self._line, self._source = self._connect()
                self._visitor.source = self._source
                _LOG.info("the site's certificate was renewed")
        except TemporaryError as error:
            _LOG.debug("reports wait: %s", error)
            # One that can be reached and does not take them is asked again with the next visit.
            self.is_cut_off = not line.is_reachable()
        except Refused as error:
            _LOG.warning("refused: %s", error)
        except ScenarioModelError as error:
            _LOG.warning("reports wait: %s", error)

    def _note(self, outcome: Outcome) -> None:
        """For `edge status`."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._visited = now if outcome.visited else self._visited
        told = {
            "last_step": now,
            "last_visit": self._visited,
            "step": outcome.step,
            "refusal": outcome.refusal,
            "words": outcome.words,
            "assigned": outcome.assigned,
            "catalogue_version": self._visitor.version,
            "catalogue_expires": self._expires and self._expires.isoformat(),
        }
        write_json(self._settings.state / LAST, told)

    @property
    def _expires(self) -> datetime | None:
        with contextlib.suppress(InputError):
            return self._visitor.expires
        return None

    def _status(self, outcome: Outcome) -> Status:
        return Status(
            at=round(time.time(), 1),
            release=outcome.serves or None,
            state="serving" if outcome.serves else "stopped",
            step=outcome.step,
            assigned=outcome.assigned or None,
            refusal=outcome.refusal,
            catalogue_version=self._visitor.version,
            catalogue_expires=self._expires.timestamp() if self._expires else 0.0,
            package=version("scenario-model"),
            free_mib=shutil.disk_usage(self._settings.state).free // 2**20,
            dropped_reports=self._spool.number_dropped,
        )
