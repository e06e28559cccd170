"""Who a site is: a short-lived certificate for a key that was made on the site, signed by the catalogue's authority."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scenario_model.errors import Refused
from scenario_model.release.names import check_name, is_name
from scenario_model.signing.certificates import builder

LIFE = timedelta(days=14)
"""A site that is away for longer enrols again."""
RENEW_BEFORE = timedelta(days=9)
_AUTHORITY = "model-deployment-scenarios sites"
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
# What RFC 5280 gives to certificates without a well-defined end: an authority ends with its key.
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_BACKDATED = timedelta(hours=1)
_SUFFIX = ".site"
_MAX_BYTES = 16 * 1024


def request(site: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a request (PEM) for a certificate of a site's key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, check_name(site, "site") + _SUFFIX)])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


def authority(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the certificate (PEM) of an authority for sites.

    It follows from the key alone: all replicas that are given one key have one certificate, wherever they start.
    """
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    digest = hashlib.sha256(point).hexdigest()
    # Its name tells it from the authority before it, whose certificates may still be about.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_AUTHORITY} {digest[:16]}")])
    usage = x509.KeyUsage(
        digital_signature=False,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    built = (
        builder(name, name, key.public_key(), _BEGINNING, _NO_END)
        .serial_number(int(digest[:30], 16) + 1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return built.public_bytes(serialization.Encoding.PEM)


def certificate(
    asked: bytes, site: str, key: ec.EllipticCurvePrivateKey, issuer: bytes, now: datetime | None = None
) -> bytes:
    """Sign a site's request. Raises Refused if it is not one, or is for another site or another kind of key."""
    now = now or datetime.now(UTC)
    try:
        wanted = x509.load_pem_x509_csr(asked[:_MAX_BYTES])
        public = wanted.public_key()
        good = wanted.is_signature_valid
    except (ValueError, InvalidSignature):
        raise Refused("is not a request for a certificate", where=site) from None
    if (
        not good
        or not isinstance(public, ec.EllipticCurvePublicKey)
        or not isinstance(public.curve, ec.SECP256R1)
    ):
        raise Refused("is not a request for a certificate of a P-256 key", where=site)
    if _site(wanted.subject) != site:
        raise Refused("is a request of another site", where=site)
    ca = x509.load_pem_x509_certificate(issuer)
    built = (
        builder(wanted.subject, ca.subject, public, now - _BACKDATED, now + LIFE)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def key_digest(asked: bytes) -> str:
    """Return the SHA-256 of the key in a site's request that `certificate` has signed."""
    public = x509.load_pem_x509_csr(asked[:_MAX_BYTES]).public_key()
    point = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(point).hexdigest()


def site_of(der: bytes) -> str:
    """Return the site that a verified client certificate is of. Raises Refused if it is of none."""
    site = _site(x509.load_der_x509_certificate(der).subject)
    if not site:
        raise Refused("the client's certificate is not that of a site")
    return site


def due(pem: bytes, now: datetime | None = None) -> bool:
    """Whether a site's certificate should be renewed."""
    left = x509.load_pem_x509_certificate(pem).not_valid_after_utc - (now or datetime.now(UTC))
    return left < RENEW_BEFORE


def _site(subject: x509.Name) -> str:
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    site = names[0].removesuffix(_SUFFIX) if len(names) == 1 and names[0].endswith(_SUFFIX) else ""
    return site if is_name(site) else ""
