"""Certificates of sites, and the authority that signs them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.catalogue import identities


def test_one_key_has_one_certificate_wherever_it_is_made() -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    assert identities.authority(key) == identities.authority(key)
    one, two = (x509.load_pem_x509_certificate(identities.authority(each)) for each in (key, other))
    assert one.subject != two.subject
    one.verify_directly_issued_by(one)


def test_a_site_is_certified_by_the_key_that_the_authority_has() -> None:
    key, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = identities.certificate(identities.request("here", own), "here", key, identities.authority(key))
    made = x509.load_pem_x509_certificate(pem)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(identities.authority(key)))
    assert made.not_valid_after_utc - made.not_valid_before_utc >= identities.LIFE
