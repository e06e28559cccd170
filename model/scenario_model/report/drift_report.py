"""A signed report of drift: scores, thresholds and a picture; nothing from which a prompt could be rebuilt.

The server's own key signs it, and its certificate travels along. So who reads it needs to trust nothing but the
authority whose certificate a stack has as its output.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from pydantic import Field

from scenario_model.atomic_io import write_bytes
from scenario_model.config import Section
from scenario_model.errors import InputError, Refused
from scenario_model.exchange.contract import Count, Drift, Time
from scenario_model.status import charts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scenario_model.observe.windows import Window

_DOMAIN = b"scenario-model drift report 1\n"
_MOST_BYTES = 2**20
_DRAWN = 400
_NOT_GENUINE = (
    ValueError,  # also of pydantic, base64 and ASN.1
    KeyError,
    AttributeError,
    IndexError,
    TypeError,
    RecursionError,
    InvalidSignature,
    UnsupportedAlgorithm,
)


class Sites(Section):
    """How many sites ask for retraining, of so many that watch the same release."""

    asking: Count
    watching: Count
    since: Time
    """When the first of those that ask began to."""


class DriftReport(Section):
    """What a server has seen."""

    format: Literal[1] = 1
    drift: Drift
    """Scores of the last window."""
    windows: Count
    """Windows of this release so far."""
    asking: Count
    """The last so many of them in a row asked for retraining."""
    windows_per_false_alarm: Annotated[float, Field(ge=100, le=1e9)]
    """What the thresholds promise: without a change, at most one alarm in so many windows."""
    picture: Annotated[str, Field(max_length=_MOST_BYTES)]
    """The evidence over time, an SVG."""
    sites: Sites | None = None
    """If the server is one of several sites': the one that has asked for longest."""


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report that was found genuine. `digest`: of what was signed. `signer`: whom the certificate is for."""

    report: DriftReport
    digest: str
    signer: str


def of_windows(windows: Sequence[Window], release: str, windows_per_false_alarm: float) -> DriftReport:
    """Say what a release's windows, the oldest first, have shown. Raises InputError if no detector has seen one."""
    mine = [each for each in windows if each.release == release and each.signals]
    if not mine:
        raise InputError(
            f"no window of {release} with detectors is over yet",
            remedy="wait for serving.observation.window_seconds; a release without a baseline has no detectors",
        )
    last = mine[-1]
    end = last.start + last.seconds
    return DriftReport(
        drift=Drift.seen(last.signals, at=end, release=release, seconds=last.seconds, units=last.units),
        windows=len(mine),
        asking=sum(1 for _ in takewhile(lambda each: each.asks == "retraining", reversed(mine))),
        windows_per_false_alarm=windows_per_false_alarm,
        picture=charts.drift(mine[-_DRAWN:], named=True),
    )


def signed(report: DriftReport, certificate: Path, private_key: Path) -> bytes:
    """Sign with the server's key. Raises InputError if it cannot be read, or is of another kind than ECDSA."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        key = serialization.load_pem_private_key(private_key.read_bytes(), None)
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", where=error.filename) from None
    except (ValueError, TypeError):
        raise InputError(
            "they are not a PEM certificate and a PEM key without a passphrase",
            where=f"{certificate}, {private_key}",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(
            "reports are signed with ECDSA, and this key is of another kind",
            where=str(private_key),
            remedy="name a pair of the same authority with --certificate and --private-key",
        )
    if chain[0].public_key() != key.public_key():
        raise InputError("is not the key of the certificate", where=str(private_key))
    told = report.model_dump(mode="json")
    signature = key.sign(_DOMAIN + _canonical(told), ec.ECDSA(hashes.SHA256()))
    return _encoded(told, chain, signature)


def keep(path: Path, content: bytes) -> None:
    """Write a report, or its picture. Raises InputError if it cannot be written."""
    try:
        write_bytes(path, content)
    except OSError as error:
        raise InputError(error.strerror or "cannot be written", where=str(path)) from None


def read(path: Path, authority: Path) -> SignedReport:
    """Read a report whose signer the authority knows. Raises Refused if it is not genuine, InputError if unreadable."""
    try:
        with path.open("rb") as stream:
            content = stream.read(2 * _MOST_BYTES + 1)
        trusted = x509.load_pem_x509_certificates(authority.read_bytes())
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", where=error.filename) from None
    except ValueError:
        raise InputError("is not a PEM file of certificates", where=str(authority)) from None
    try:
        parsed = json.loads(content)
        told, signature = parsed["report"], base64.b64decode(parsed["signature"], validate=True)
        signer = x509.load_pem_x509_certificates(parsed["certificate"].encode("ascii"))
        report = DriftReport.model_validate(told)
        genuine = _encoded(told, signer, signature) == content  # one encoding only
        _public(signer[0]).verify(signature, _DOMAIN + _canonical(told), ec.ECDSA(hashes.SHA256()))
    except _NOT_GENUINE:
        genuine = False
    if not genuine:
        raise Refused("is not a report that its certificate's key signed", where=str(path))
    _check_chain(signer, trusted, report.drift.at, str(path))
    name = signer[0].subject.rfc4514_string()
    return SignedReport(report, hashlib.sha256(_canonical(told)).hexdigest(), name)


def _check_chain(
    chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], at: float, where: str
) -> None:
    """Refuse a signer that no trusted authority vouches for, or whose certificate was not valid at that time.

    Its own extensions may be any: it is known by its authority alone, and not as a server or client of TLS.
    """
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store(list(trusted)))
        .time(datetime.fromtimestamp(at, UTC))
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        )
    )
    try:
        verified = policy.build_client_verifier().verify(chain[0], list(chain[1:]))
    except verification.VerificationError as error:
        reason = str(error).partition(" (encountered")[0]
    else:
        reason = "" if len(verified.chain) > 1 else "a server's own certificate is no authority"
    if reason:
        raise Refused(
            f"its signer was not known to the authority that is trusted when it was made: {reason}",
            where=where,
            remedy="name the output `ca_certificate` of the stack whose server it is from",
        )


def _public(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("not ECDSA")
    return key


def _encoded(told: dict[str, Any], chain: Sequence[x509.Certificate], signature: bytes) -> bytes:
    certificate = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain).decode()
    whole = {"report": told, "certificate": certificate, "signature": base64.b64encode(signature).decode()}
    return _canonical(whole) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
