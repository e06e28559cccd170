"""Renews the site's certificate before it ends."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.atomic_io import write_text
from scenario_model.catalogue import identities
from scenario_model.exchange import crossings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.edge.sender import Line


def renew(site: str, certificate: Path, private_key: Path, line: Line, record: Callable[..., None]) -> bool:
    """Renew if it is due; True if there are new files, which new connections use.

    The key is kept: two files cannot be replaced at once, and a certificate without its key is nobody's. Raises
    TemporaryError to try again, Refused if the site was revoked. `record`: notes what crosses.
    """
    pem = certificate.read_bytes()
    if not identities.due(pem):
        return False
    key = serialization.load_pem_private_key(private_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  (written by `enrol`)
    asked = identities.request(site, key).decode()
    up = crossings.of_certificate(time.time(), line.url, "up", asked)
    told = line.post("v1/certificate", json.dumps({"request": asked}).encode(), up)
    new = str(told["certificate"])
    record(crossings.of_certificate(time.time(), line.url, "down", new))
    write_text(certificate, new)
    return True
