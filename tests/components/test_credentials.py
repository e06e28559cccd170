"""Certificates that verify, renewals that are due in time, keys that are random."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from components.credentials import (
    ApiKeyProvider,
    CertificateAuthorityProvider,
    ServerCertificateProvider,
    valid_until,
)

TODAY = dt.date(2026, 11, 22)


def authority() -> dict[str, Any]:
    provider = CertificateAuthorityProvider()
    return dict(provider.create(provider.check({}, {"common_name": "tests"}).inputs).outs or {})


def server(issuer: dict[str, Any], *names: str) -> dict[str, Any]:
    provider = ServerCertificateProvider()
    inputs = {
        "names": list(names),
        "authority_certificate": issuer["certificate"],
        "authority_key": issuer["private_key"],
    }
    return dict(provider.create(provider.check({}, inputs).inputs).outs or {})


def certificate(properties: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(properties["certificate"].encode())


def verify(properties: dict[str, Any], issuer: dict[str, Any], name: x509.GeneralName) -> None:
    subject = x509.DNSName(name.value) if isinstance(name, x509.DNSName) else x509.IPAddress(name.value)
    verifier = PolicyBuilder().store(Store([certificate(issuer)])).build_server_verifier(subject)
    verifier.verify(certificate(properties), [])


def test_a_server_certificate_verifies_for_each_of_its_names_and_no_other() -> None:
    issuer = authority()
    issued = server(issuer, "localhost", "127.0.0.1", "::1", "serve-1.example.com")
    for name in ("localhost", "serve-1.example.com"):
        verify(issued, issuer, x509.DNSName(name))
    for address in ("127.0.0.1", "::1"):
        verify(issued, issuer, x509.IPAddress(ipaddress.ip_address(address)))
    with pytest.raises(VerificationError):
        verify(issued, issuer, x509.DNSName("serve-2.example.com"))


def test_another_authority_of_the_same_name_is_not_trusted() -> None:
    with pytest.raises(VerificationError):
        verify(server(authority(), "localhost"), authority(), x509.DNSName("localhost"))


def test_a_renewed_authority_keeps_its_key_so_that_what_it_issued_stays_good() -> None:
    provider, old = CertificateAuthorityProvider(), authority()
    inputs = {"common_name": "tests", "valid_until": "2046-01-01"}
    new = dict(provider.update("id", old, inputs).outs or {})
    assert certificate(new).not_valid_after_utc.year == 2046
    verify(server(old, "localhost"), new, x509.DNSName("localhost"))


def test_a_renewed_server_certificate_has_a_new_key() -> None:
    provider, old = ServerCertificateProvider(), server(authority(), "localhost")
    new = dict(provider.update("id", old, {key: old[key] for key in old if key != "private_key"}).outs or {})
    assert new["private_key"] != old["private_key"]
    key = serialization.load_pem_private_key(new["private_key"].encode(), password=None)
    assert key.public_key() == certificate(new).public_key()


@pytest.mark.parametrize(
    ("days_left", "renewed"), [(400, False), (31, False), (30, False), (29, True), (0, True), (-5, True)]
)
def test_a_renewal_is_due_when_fewer_than_thirty_days_are_left(days_left: int, renewed: bool) -> None:
    previous = (TODAY + dt.timedelta(days=days_left)).isoformat()
    assert (valid_until(previous, 397, TODAY) != previous) is renewed


def test_a_due_renewal_changes_an_input_so_that_a_preview_shows_it() -> None:
    soon = (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)).isoformat()
    late = (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=200)).isoformat()
    check = ServerCertificateProvider().check
    assert check({"valid_until": late}, {"names": ["a"]}).inputs["valid_until"] == late
    assert check({"valid_until": soon}, {"names": ["a"]}).inputs["valid_until"] > late


def test_an_api_key_is_256_random_bits_known_to_servers_by_its_digest() -> None:
    first, second = (ApiKeyProvider().create({}).outs or {} for _ in range(2))
    assert first["key"] != second["key"]
    assert len(first["key"]) == 43
    assert first["sha256"] == hashlib.sha256(first["key"].encode()).hexdigest()
