"""Joins a catalogue: makes the site's key, has it certified for a token, and writes the agent's settings."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import time
from typing import TYPE_CHECKING, Any

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.atomic_io import write_json, write_text
from scenario_model.catalogue import identities
from scenario_model.errors import Refused, TemporaryError
from scenario_model.exchange import crossings
from scenario_model.exchange.audit import AuditLog
from scenario_model.signing.keys import load_private

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.catalogue.enrolment import Invitation

_SECONDS = httpx2.Timeout(30.0, connect=10.0)
KEY, CERTIFICATE, AUTHORITY, ROOT = "site.key", "site.pem", "catalogue-ca.pem", "root.json"
SETTINGS, USED = "edge.json", "token.sha256"
STATE, SEEN, AUDIT = "state", "seen", "audit"


def enrol(invitation: Invitation, folder: Path, store: Path, verification_key: Path) -> bool:
    """Join; afterwards the agent's settings are `edge.json` in `folder`. False if this token was used here before.

    With another token the site joins anew, and keeps its key and its releases. An interrupted enrolment goes on. Raises
    Refused if the token is not valid (any more), TemporaryError if the catalogue cannot be reached.
    """
    settings, used = folder / SETTINGS, folder / USED
    digest = hashlib.sha256(invitation.token().encode()).hexdigest()
    if settings.exists() and used.exists() and used.read_text(encoding="ascii").strip() == digest:
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _key(folder / KEY)
    if (folder / ROOT).exists() and (folder / ROOT).read_text(encoding="utf-8") != invitation.root:
        # What was seen of another catalogue says nothing about this one.
        shutil.rmtree(folder / STATE / SEEN, ignore_errors=True)
    write_text(folder / AUTHORITY, invitation.authority)
    write_text(folder / ROOT, invitation.root)
    asked = {
        "site": invitation.site,
        "secret": invitation.secret,
        "request": identities.request(invitation.site, key).decode(),
    }
    log, peer = AuditLog(folder / STATE / AUDIT), invitation.url.rstrip("/")
    # Before it goes up, because nothing may cross that is not noted.
    log.record(crossings.of_certificate(time.time(), peer, "up", asked["request"]))
    told = _post(invitation.url, folder / AUTHORITY, asked)
    pem = str(told["certificate"])
    log.record(crossings.of_certificate(time.time(), peer, "down", pem))
    write_text(folder / CERTIFICATE, pem)
    # Last: whoever finds them has all of the rest.
    write_json(settings, _settings(invitation, folder, store, verification_key, str(told["ring"])))
    write_text(used, f"{digest}\n")
    return True


def _settings(
    invitation: Invitation, folder: Path, store: Path, verification_key: Path, ring: str
) -> dict[str, Any]:
    return {
        "site": invitation.site,
        "ring": ring,
        "catalogue": {
            "url": invitation.url,
            "root": str(folder / ROOT),
            "at_least": invitation.at_least,
            "authority": str(folder / AUTHORITY),
            "certificate": str(folder / CERTIFICATE),
            "private_key": str(folder / KEY),
        },
        "verification_key": str(verification_key),
        "store": str(store),
        "follow": str(folder / "release"),
        "state": str(folder / STATE),
    }


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        return load_private(path)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(pem)
    return key


def _post(url: str, authority: Path, asked: dict[str, str]) -> dict[str, Any]:
    where = f"{url.rstrip('/')}/v1/enrol"
    try:
        context = ssl.create_default_context(cafile=authority)
        with httpx2.Client(verify=context, timeout=_SECONDS, trust_env=False) as client:
            answer = client.post(where, json=asked)
            told = answer.json()
    except (httpx2.HTTPError, ssl.SSLError, OSError, ValueError) as error:
        raise TemporaryError(f"the catalogue cannot be reached: {error}", where=where) from None
    if not answer.is_success:
        raise Refused(str(told.get("error", answer.status_code)), where=where)
    return dict(told)
