"""The stack's own certificate authority, server certificate, API key and signing key.

Private keys and the API key are outputs, encrypted in the state. A certificate's validity is one of its
inputs, so that a due renewal shows in a preview.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import secrets
from typing import TYPE_CHECKING, Any

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pulumi.dynamic import CheckResult, CreateResult, Resource, UpdateResult

from components.dynamic import Provider

if TYPE_CHECKING:
    from collections.abc import Sequence

    Properties = dict[str, Any]

RENEW_DAYS_BEFORE = 30
_CA_DAYS = 3650
_SERVER_DAYS = 397
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def valid_until(previous: str | None, days: int, today: dt.date) -> str:
    """Return the last day of validity, ISO: the previous one, or a new one if fewer than 30 days are left."""
    if previous and (dt.date.fromisoformat(previous) - today).days >= RENEW_DAYS_BEFORE:
        return previous
    return (today + dt.timedelta(days=days)).isoformat()


class _Renewing(Provider):
    """A certificate whose last day is set when inputs are checked: the same in preview and update."""

    days = 0

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        today = dt.datetime.now(dt.UTC).date()
        return CheckResult(
            {**news, "valid_until": valid_until(olds.get("valid_until"), self.days, today)}, []
        )


class CertificateAuthorityProvider(_Renewing):
    """Creates a self-signed P-256 authority; a renewal keeps the key, so issued certificates stay valid."""

    days = _CA_DAYS

    def create(self, props: Properties) -> CreateResult:
        """Make key and certificate."""
        return CreateResult(
            "certificate-authority", _authority(props, ec.generate_private_key(ec.SECP256R1()))
        )

    def update(self, _id: str, olds: Properties, news: Properties) -> UpdateResult:
        """Make a new certificate for the same key."""
        return UpdateResult(_authority(news, _load_key(olds["private_key"])))


class ServerCertificateProvider(_Renewing):
    """Creates a server's key and certificate; every update creates a new key."""

    days = _SERVER_DAYS

    def create(self, props: Properties) -> CreateResult:
        """Make key and certificate."""
        return CreateResult("server-certificate", _server(props))

    def update(self, _id: str, _olds: Properties, news: Properties) -> UpdateResult:
        """Create a new key and certificate."""
        return UpdateResult(_server(news))


class ApiKeyProvider(Provider):
    """Creates a random 256-bit key, once."""

    def create(self, props: Properties) -> CreateResult:
        """Make the key and its digest."""
        key = secrets.token_urlsafe(32)
        return CreateResult(
            "api-key", {**props, "key": key, "sha256": hashlib.sha256(key.encode()).hexdigest()}
        )


class SigningKeyProvider(Provider):
    """Creates a P-256 key that signs releases, once."""

    def create(self, props: Properties) -> CreateResult:
        """Make both halves, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return CreateResult(
            "signing-key", {**props, "private_key": _private_pem(key), "public_key": public.decode()}
        )


class StackIdProvider(Provider):
    """Creates a random identity, once."""

    def create(self, props: Properties) -> CreateResult:
        """Make it: 16 hexadecimal digits."""
        return CreateResult("stack-id", {**props, "identity": secrets.token_hex(8)})


class CertificateAuthority(Resource, module="credentials", name="CertificateAuthority"):
    """The stack's own CA: `certificate` for clients to trust, `private_key` (secret) to issue with."""

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(self, name: str, *, common_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register an authority whose subject is `common_name`."""
        properties = {"common_name": common_name, "certificate": None, "private_key": None}
        super().__init__(CertificateAuthorityProvider(), name, properties, _secret(opts, "private_key"))


class ServerCertificate(Resource, module="credentials", name="ServerCertificate"):
    """A server's `certificate` and `private_key` (secret), issued by an authority for names and addresses."""

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        authority: CertificateAuthority,
        names: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register a certificate for `names`; the first is its subject."""
        properties = {
            "names": list(names),
            "authority_certificate": authority.certificate,
            "authority_key": authority.private_key,
            "certificate": None,
            "private_key": None,
        }
        super().__init__(ServerCertificateProvider(), name, properties, _secret(opts, "private_key"))


class StackId(Resource, module="credentials", name="StackId"):
    """Distinguishes a stack's state from another of the same name: `identity`, not a secret."""

    identity: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register an identity that stays as long as the stack's state."""
        super().__init__(StackIdProvider(), name, {"identity": None}, opts)


class ApiKey(Resource, module="credentials", name="ApiKey"):
    """A client's `key` (secret) and its `sha256`, which is all that a server needs."""

    key: pulumi.Output[str]
    sha256: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register a key; to rotate it, replace it (`pulumi up --replace URN`)."""
        super().__init__(ApiKeyProvider(), name, {"key": None, "sha256": None}, _secret(opts, "key"))


class SigningKey(Resource, module="credentials", name="SigningKey"):
    """The `private_key` (secret) that releases are signed with, and the `public_key` that verifies them."""

    private_key: pulumi.Output[str]
    public_key: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register a key; existing signatures stay, also when it is replaced."""
        properties = {"private_key": None, "public_key": None}
        super().__init__(SigningKeyProvider(), name, properties, _secret(opts, "private_key"))


def _secret(opts: pulumi.ResourceOptions | None, output: str) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=[output]))


def _authority(props: Properties, key: ec.EllipticCurvePrivateKey) -> Properties:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, props["common_name"])])
    builder = (
        _builder(subject, subject, key, props["valid_until"])
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return {**props, **_issued(builder.sign(key, hashes.SHA256()), key)}


def _server(props: Properties) -> Properties:
    authority = x509.load_pem_x509_certificate(props["authority_certificate"].encode())
    authority_key = _load_key(props["authority_key"])
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, props["names"][0][:64])])
    builder = (
        _builder(subject, authority.subject, key, props["valid_until"])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in props["names"]]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
    )
    return {**props, **_issued(builder.sign(authority_key, hashes.SHA256()), key)}


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, last_day: str
) -> x509.CertificateBuilder:
    # Backdated by a day, for hosts whose clock is slow.
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    end = dt.datetime.combine(dt.date.fromisoformat(last_day), dt.time(23, 59, 59), dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _KEY_USAGES})


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we created it
    return key


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Return certificate and key as PEM."""
    return {
        "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "private_key": _private_pem(key),
    }


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*form, serialization.NoEncryption()).decode()
