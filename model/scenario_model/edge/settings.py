"""Settings of a site's agent."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from scenario_model.catalogue.lifetimes import Days
from scenario_model.config import FilePath, Many, NotNegative, Positive, Seconds, Section, Text, form
from scenario_model.release.settings import Name

Window = Annotated[
    Text,
    form(
        r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", "write a time of day, such as 22:00-05:30, in UTC"
    ),
]


class AgentSettings(Section):
    """How a site's agent works, wherever its catalogue is."""

    poll_seconds: Seconds = 60.0
    """Pause between visits of the catalogue; each site's first one is shorter by chance, so that they spread."""
    bytes_per_second: Positive | None = None
    """Limit of a download; null: none."""
    windows: Many[Window] = ()
    """When the release may be switched, in UTC; empty: at any time. It is downloaded and verified meanwhile."""
    ready_seconds: Seconds = 600.0
    """How long a switched server may take until it is ready, before the former release is brought back."""
    keep: Positive = 2
    """Releases that stay in the store: the one that is served and former ones, for a rollback."""


class CatalogueAccess(Section):
    """Where the catalogue is, and how it and the site know each other."""

    url: Text
    """https://… of a web server, or a folder that somebody brings here."""
    root: FilePath
    """The catalogue's first root metadata, pinned when the site was enrolled."""
    at_least: NotNegative = 0
    """The catalogue's version at that time; an older one is refused."""
    authority: FilePath | None = None
    """PEM of the web server's CA; null: the system's."""
    certificate: FilePath | None = None
    """The site's own certificate, PEM."""
    private_key: FilePath | None = None
    """Its private key, PEM."""
    timestamp_days: Days = 2.0
    """A web server's timestamp that lives longer is refused: one that was signed to be carried must freeze nobody."""
    carried_days: Days = 366.0
    """The same, if the catalogue is a folder."""

    @property
    def is_remote(self) -> bool:
        """Whether it is a web server, not a folder."""
        return "://" in self.url

    @property
    def longest_timestamp(self) -> timedelta:
        """How long a timestamp may live that is believed."""
        return timedelta(days=self.timestamp_days if self.is_remote else self.carried_days)


class EdgeSettings(AgentSettings):
    """The configuration file of `scenario-model edge`."""

    site: Name
    """The site's name."""
    ring: Name
    """The ring whose assignments it follows, unless it has one of its own."""
    catalogue: CatalogueAccess
    verification_key: FilePath
    """PEM file; a release not signed by this key is refused."""
    store: FilePath
    """The folder of releases that the site's server serves from."""
    follow: FilePath
    """The file that tells the site's server which release to serve."""
    state: FilePath
    """The agent's own folder: what it saw of the catalogue, what is arriving, what waits to be reported."""
    server: Text = "https://127.0.0.1:8443"
    """Where the site's server answers on this host."""
    metrics: Text | None = "http://127.0.0.1:9445/metrics"
    """Where its metrics are read, to report what requests were like; null: that is not reported."""
