"""`/metrics` of the catalogue's web server, in the Prometheus text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from scenario_model.exchange.contract import Drift, decode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from scenario_model.exchange.inbox import Reports

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HANDLERS = (
    "catalogue",
    "releases",
    "healthz",
    "readyz",
    "v1/enrol",
    "v1/certificate",
    "v1/reports",
    "v1/wake",
)
_METHODS = ("GET", "POST")


class WebMetrics:
    """Counters of one server; no series has a site's name."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "catalogue_requests",
            "Requests answered.",
            ("handler", "method", "status"),
            registry=self._registry,
        )
        self.reports = Counter(
            "catalogue_reports_kept", "Reports that are in the store.", registry=self._registry
        )
        self.drift = Counter(
            "catalogue_drift_reports",
            "Reports of drift that were taken, by what a site's detectors ask for.",
            ("asks",),
            registry=self._registry,
        )
        self.sites = Gauge("catalogue_enrolled_sites", "Sites that are enrolled.", registry=self._registry)
        self.downloads = Gauge(
            "catalogue_downloads", "Files of releases that are on their way.", registry=self._registry
        )
        self.wanted = Gauge(
            "catalogue_endpoint_wanted",
            "1 while a site asks for the hosted endpoint, which may have no pods.",
            registry=self._registry,
        )
        self.sent = Counter(
            "catalogue_sent_bytes", "Bytes of the catalogue and of releases.", registry=self._registry
        )
        self.audited = Counter(
            "catalogue_crossings_logged", "Crossings in the audit log.", registry=self._registry
        )
        self.expires = Gauge(
            "catalogue_timestamp_expires_seconds",
            "When the timestamp expires, in seconds since 1970; a day after it was signed.",
            registry=self._registry,
        )

    def took(self, reports: Reports) -> None:
        """Count reports that are in the store, and what those of drift ask for."""
        self.reports.inc(len(reports))
        for _, content in reports:
            told = decode(content) if b'"kind":"drift"' in content else None
            if isinstance(told, Drift):
                self.drift.labels(told.asks).inc()

    def counted(self, app: ASGIApp) -> ASGIApp:
        """The application, with its answers counted."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            status = "499"

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, noting)
            finally:
                self._requests.labels(_handler(scope["path"]), _method(scope["method"]), status).inc()

        return counting

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self._registry)


def _handler(path: str) -> str:
    # What anybody may write there is not a label.
    return next((name for name in _HANDLERS if path[1:] == name or path.startswith(f"/{name}/")), "other")


def _method(method: str) -> str:
    return method if method in _METHODS else "other"
