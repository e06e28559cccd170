"""Ansible filters: what is wrong with supplied credentials, and where they are kept on a host."""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cryptography.x509 import Certificate

_DIGITS = 12


def credential_problems(
    certificate: str, private_key: str, api_key: str, authority: str = "", names: Iterable[str] = ()
) -> list[str]:
    """Return what is wrong with a server's credentials; none of it contains a secret.

    Args:
        certificate: in PEM, followed by those of its intermediate authorities.
        private_key: in PEM, without a password.
        api_key: its digest. All three are given, or none.
        authority: certificates in PEM that clients trust; empty if unknown.
        names: what a balancer, which compares no addresses, asks the certificate for.

    """
    # Ansible itself requires cryptography; a host does not need it.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not (certificate and private_key and api_key):
        together = (
            "tls_certificate, tls_private_key and api_key_sha256 belong together; set all three or none"
        )
        return [together] if certificate or private_key or api_key else []
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return ["tls_certificate is not a certificate in PEM"]
    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError):
        return ["tls_private_key is not a private key in PEM without a password"]
    problems = []
    if key.public_key() != chain[0].public_key():
        problems.append("tls_private_key is not the key of tls_certificate")
    now = datetime.datetime.now(datetime.UTC)
    if not chain[0].not_valid_before_utc <= now <= chain[0].not_valid_after_utc:
        valid = f"{chain[0].not_valid_before_utc:%Y-%m-%d} to {chain[0].not_valid_after_utc:%Y-%m-%d}"
        problems.append(f"tls_certificate is valid from {valid}, and today is {now:%Y-%m-%d}")
    known = _names(chain[0])
    if missing := sorted(name for name in names if not {name, _wildcard(name)} & known):
        problems.append(f"tls_certificate is not for {', '.join(missing)}, which the balancer asks for")
    if authority and not _issued(chain, authority):
        problems.append("tls_certificate was not issued by tls_authority")
    return problems


def _names(certificate: Certificate) -> set[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*found.get_values_for_type(x509.DNSName)}


def _wildcard(name: str) -> str:
    """Return what stands for a name in a certificate for all names of its domain (RFC 6125, 6.4.3)."""
    return f"*.{name.partition('.')[2]}"


def _issued(chain: list[Certificate], authority: str) -> bool:
    """Return whether one of the authorities, or the leaf itself, signed a certificate of the chain."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        trusted = x509.load_pem_x509_certificates(authority.encode())
    except ValueError:
        return False
    for certificate in chain:
        for issuer in trusted:
            try:
                certificate.verify_directly_issued_by(issuer)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
    return False


def content_name(name: str, *contents: str) -> str:
    """Return a name that ends in a digest of the contents, so that other contents have another name.

    What uses the name tells which contents it uses: the former ones stay until nothing names them.
    """
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()
    return f"{name}-{digest[:_DIGITS]}"


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {each.__name__: each for each in (credential_problems, content_name)}
