"""Supplied credentials: what does not fit is named before anything is written."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ansible.test_decisions import plugin

credentials = plugin("filter_plugins/credentials.py")
NOW = datetime.datetime.now(datetime.UTC)


def issue(
    name: str = "server-1", *, by: tuple[Any, Any] | None = None, from_day: int = -1, to_day: int = 30
) -> tuple[Any, Any]:
    """Return a certificate for a name, and its key; of its own authority unless `by` another."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (by[0].subject, by[1]) if by else (own, key)
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=own,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=NOW + datetime.timedelta(days=from_day),
        not_valid_after=NOW + datetime.timedelta(days=to_day),
    )
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    return builder.add_extension(names, critical=False).sign(signer, hashes.SHA256()), key


def written(pair: tuple[Any, Any]) -> tuple[str, str]:
    certificate, key = pair
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def test_a_certificate_of_its_key_its_authority_and_its_names_has_no_problem() -> None:
    authority = issue("authority")
    certificate, key = written(issue(by=authority))
    assert (
        credentials.credential_problems(certificate, key, "digest", written(authority)[0], ["server-1"]) == []
    )


def test_a_certificate_for_all_names_of_a_domain_is_for_each() -> None:
    certificate, key = written(issue("*.example.com"))
    assert credentials.credential_problems(certificate, key, "digest", "", ["gpu-1.example.com"]) == []
    assert credentials.credential_problems(certificate, key, "digest", "", ["gpu-1.other.com"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": written(issue())[1]}, "tls_private_key is not the key of tls_certificate"),
        ({"key": "rubbish"}, "tls_private_key is not a private key in PEM without a password"),
        ({"certificate": "rubbish"}, "tls_certificate is not a certificate in PEM"),
        ({"pair": issue(to_day=-1, from_day=-9)}, "tls_certificate is valid from"),
        ({"pair": issue(from_day=1)}, "tls_certificate is valid from"),
        ({"names": ["server-2"]}, "tls_certificate is not for server-2"),
        ({"authority": written(issue("authority"))[0]}, "was not issued by tls_authority"),
        ({"authority": "rubbish"}, "was not issued by tls_authority"),
    ],
    ids=["another key", "no key", "no certificate", "expired", "early", "name", "authority", "no authority"],
)
def test_what_does_not_fit_is_named_without_the_secret(given: dict[str, Any], said: str) -> None:
    certificate, key = written(given.get("pair") or issue())
    problems = credentials.credential_problems(
        given.get("certificate", certificate),
        given.get("key", key),
        "digest",
        given.get("authority", ""),
        given.get("names", []),
    )
    assert len(problems) == 1
    assert said in problems[0]
    assert "PRIVATE" not in problems[0]


@pytest.mark.parametrize("given", [("", "k", "a"), ("c", "", "a"), ("c", "k", "")])
def test_all_three_are_given_or_none(given: tuple[str, str, str]) -> None:
    (problem,) = credentials.credential_problems(*given)
    assert "belong together" in problem
    assert credentials.credential_problems("", "", "") == []


def test_other_contents_have_another_name() -> None:
    names = {credentials.content_name("tls", *each) for each in (("a", "b"), ("ab", ""), ("a",), ("b", "a"))}
    assert len(names) == 4
    assert credentials.content_name("tls", "a") == credentials.content_name("tls", "a")
