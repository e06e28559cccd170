"""A certificate authority, a server certificate and an API key for one installation, created once and kept.

X.509 as in RFC 5280 and the CA/Browser Forum's baseline: names in subjectAltName, P-256 keys, each
certificate with only the usages it needs. The CA's key is kept, so that clients trust a renewed server
certificate.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scenario_model.atomic_io import sync
from scenario_model.errors import InputError
from scenario_model.signing.certificates import builder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A recognisable prefix for secret scanners and people.
API_KEY_PREFIX = "smk_"
_CA_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
# Clients' clocks may be slow.
_BACKDATED = timedelta(hours=1)
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The folder's content. `changed` lists the files that this call created or repaired."""

    directory: Path
    hosts: tuple[str, ...]
    expires: datetime
    changed: tuple[str, ...]


def ensure(directory: Path, hosts: Sequence[str], now: datetime | None = None) -> Credentials:
    """Create what is missing, about to expire, or for other hosts; keep the rest.

    Writes ca.pem, ca.key, server.pem, server.key, api_key and api_keys.json. Raises InputError for a host
    that is neither a DNS name nor an IP address, or a folder that cannot be written.
    """
    names = _alternative_names(hosts)
    folder = _Folder(directory)
    now = now or datetime.now(UTC)
    ca, ca_key = _authority(folder, now)
    server = _server(folder, ca, ca_key, names, now)
    _api_key(folder)
    return Credentials(directory, tuple(hosts), server.not_valid_after_utc, tuple(sorted(folder.changed)))


class _Folder:
    """Files, some private, each written atomically."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.changed: set[str] = set()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot create the folder: {error.strerror}", where=str(path)) from None

    def read(self, name: str) -> bytes | None:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"cannot read the file: {error.strerror}", where=str(self._path / name)
            ) from None

    def write(self, name: str, content: bytes, mode: int) -> None:
        path, aside = self._path / name, self._path / f".{name}.writing"
        try:
            aside.unlink(missing_ok=True)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                stream.write(content)
            sync(aside)
            aside.replace(path)
            sync(self._path)
        except OSError as error:
            raise InputError(f"cannot write the file: {error.strerror}", where=str(path)) from None
        self.changed.add(name)

    def protect(self, name: str) -> None:
        """Remove others' permissions from a private file."""
        path = self._path / name
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
            self.changed.add(name)


def _authority(folder: _Folder, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate, key = _certificate(folder.read("ca.pem")), _private_key(folder.read("ca.key"))
    if certificate and key and _fits(certificate, key) and _lasts(certificate, now):
        folder.protect("ca.key")
        return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    # A unique name, so that clients that trust an older CA do not confuse them.
    name = _name(f"model-deployment-scenarios CA {secrets.token_hex(4)}")
    builder = _builder(name, name, key.public_key(), now, now + _CA_LIFE)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    # The key first: a certificate without its key is replaced; nobody trusts it yet.
    folder.write("ca.key", _pem_key(key), 0o600)
    folder.write("ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _server(
    folder: _Folder,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    now: datetime,
) -> x509.Certificate:
    certificate, key = _certificate(folder.read("server.pem")), _private_key(folder.read("server.key"))
    good = certificate and key and _fits(certificate, key) and _lasts(certificate, now)
    if good and certificate and _issued_by(certificate, ca) and _names_of(certificate) == names:
        folder.protect("server.key")
        return certificate
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + _SERVER_LIFE, ca.not_valid_after_utc)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(_name("model-deployment-scenarios server"), ca.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    folder.write("server.key", _pem_key(key), 0o600)
    folder.write("server.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate


def _api_key(folder: _Folder) -> None:
    """One key for the operator; other clients' keys in api_keys.json are kept."""
    key = (folder.read("api_key") or b"").strip()
    if key:
        folder.protect("api_key")
    else:
        key = (API_KEY_PREFIX + secrets.token_urlsafe(32)).encode()
        folder.write("api_key", key + b"\n", 0o600)
    entry = {"id": "default", "sha256": hashlib.sha256(key).hexdigest()}
    others = [other for other in _hashed_keys(folder) if other.get("id") != "default"]
    content = json.dumps({"keys": [entry, *others]}, indent=2).encode() + b"\n"
    if folder.read("api_keys.json") != content:
        folder.write("api_keys.json", content, 0o600)


def _hashed_keys(folder: _Folder) -> list[dict[str, str]]:
    try:
        keys = json.loads(folder.read("api_keys.json") or b'{"keys": []}')["keys"]
        return [dict(key) for key in keys]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "api_keys.json was not written by this command",
            remedy="fix it, or remove it to have it recreated",
        ) from None


def _alternative_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    if not hosts:
        raise InputError("no host given", remedy="add --host NAME")
    return [_alternative_name(host) for host in dict.fromkeys(hosts)]


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > 253 or not re.fullmatch(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", host):
        raise InputError(f"{host[:260]!r} is neither a DNS name nor an IP address", where="--host")
    return x509.DNSName(host.lower())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        builder(subject, issuer, key, now - _BACKDATED, end)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(pem: bytes | None) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem) if pem else None
    except ValueError:
        return None


def _private_key(pem: bytes | None) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem, None) if pem else None
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _fits(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return certificate.public_key() == key.public_key()


def _lasts(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - _RENEW_BEFORE


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _names_of(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
