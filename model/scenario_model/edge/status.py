"""How a site is, told from its own disk and its own server: nothing is asked of the cloud."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from cryptography import x509

from scenario_model.edge.local_server import LocalServer
from scenario_model.edge.site import LAST, SPOOL

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.edge.settings import EdgeSettings

_NOTED = (
    "last_step",
    "last_visit",
    "step",
    "refusal",
    "words",
    "assigned",
    "catalogue_version",
    "catalogue_expires",
)


def status(settings: EdgeSettings) -> dict[str, Any]:
    """Return what the site serves, was told, and saw; null: not known. Changes nothing, whoever runs meanwhile."""
    server = LocalServer(settings.server, settings.follow)
    noted = _noted(settings.state / LAST)
    return {
        "site": settings.site,
        "ring": settings.ring,
        "serves": server.ready() or None,
        "told": server.told() or None,
        **{name: noted.get(name) or None for name in _NOTED},
        "reports_waiting": _waiting(settings.state / SPOOL),
        "certificate_ends": _end(settings.catalogue.certificate),
    }


def _noted(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _waiting(path: Path) -> int | None:
    # Read only: whoever looks may be another user than the agent.
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
            return int(database.execute("SELECT count(*) FROM reports").fetchone()[0])
    except sqlite3.Error:
        return None


def _end(certificate: Path | None) -> str | None:
    if certificate is None or not certificate.is_file():
        return None
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.isoformat()
